// What the bytes of a text may be.
#pragma once

#include <string_view>

namespace anomaly {

bool is_ascii(std::string_view bytes);
bool is_utf8(std::string_view bytes);

}  // namespace anomaly
