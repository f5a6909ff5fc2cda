// From the text of one JSON scalar to the cell of a column, where PostgreSQL's result is certain.
//
// A token is the scalar as it stands in the message (a string with its quotes). False always means
// "ask PostgreSQL", never "wrong".
#pragma once

#include <cstdint>
#include <string_view>

#include "core/column.h"
#include "core/type.h"

namespace anomaly {

// True for exactly what RFC 8259 calls a number.
bool is_json_number(std::string_view token);

// Numbers, true and false, and strings that hold a time; not kText. The cell of any type that is
// not kOpaque takes 64 bits.
bool scalar_to_cell(Type type, std::string_view token, uint64_t* cell);

// The text of a string without its quotes, whose control characters and encoding are checked
// already. Without a backslash the result is `raw` itself, otherwise it lies in the arena.
// ascii_only: an escape for anything else is for PostgreSQL to convert.
bool unescape_json_string(std::string_view raw, bool ascii_only, Arena& arena,
                          std::string_view* text);

}  // namespace anomaly
