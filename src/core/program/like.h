// SQL's LIKE with the escape character \.
#pragma once

#include <string_view>

namespace anomaly {

// The pattern does not end in an escape. utf8: whether a character may have several bytes.
bool is_like(std::string_view text, std::string_view pattern, bool utf8);

}  // namespace anomaly
