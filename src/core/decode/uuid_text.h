// UUIDs in the form that everybody writes: 8-4-4-4-12 hexadecimal digits.
#pragma once

#include <cstddef>
#include <string_view>

namespace anomaly {

constexpr size_t kUuidBytes = 16;

// False: it has another form; PostgreSQL knows some more.
bool parse_uuid(std::string_view text, char* bytes);

}  // namespace anomaly
