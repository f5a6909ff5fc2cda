// From the text of one JSON scalar to the cell of a column, where PostgreSQL's result is certain.
//
// A token is the scalar as it stands in the message (a string with its quotes). False always means
// "ask PostgreSQL", never "wrong".
#pragma once

#include <cstdint>
#include <string_view>

#include "core/column.h"
#include "core/json_number.h"
#include "core/type.h"

namespace anomaly {

struct JsonScalar {
    std::string_view token;
    JsonNumber number{};    // where the token is one
    bool is_ascii = false;  // of a string that read_json_scalar has read
    bool is_plain = false;  // a string that is known to have no escape
};

// Reads the scalar at the beginning of the text; what follows it is for the caller to judge. False:
// there is none, or it is a string with an escape. Whether other bytes than ASCII are UTF-8 is not
// looked at.
bool read_json_scalar(std::string_view text, JsonScalar* out);

// The token is a whole scalar; the inside of a string is valid already.
bool token_to_scalar(std::string_view token, JsonScalar* out);

// Numbers, true and false, and strings that hold a time; not kText and not null. The cell of any
// type that is not kOpaque takes 64 bits.
bool scalar_to_cell(Type type, const JsonScalar& scalar, uint64_t* cell);

// The text of a string without its quotes, whose control characters and encoding are checked
// already. Without a backslash the result is `raw` itself, otherwise it lies in the arena.
// ascii_only: an escape for anything else is for PostgreSQL to convert.
bool unescape_json_string(std::string_view raw, bool ascii_only, Arena& arena,
                          std::string_view* text);

}  // namespace anomaly
