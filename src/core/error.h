// An expected failure in words; nullopt: none. What is not expected is an exception.
#pragma once

#include <optional>
#include <string>

namespace anomaly {

using Error = std::optional<std::string>;

}  // namespace anomaly
