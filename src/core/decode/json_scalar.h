// The scalars of JSON: where one ends, and what a string means.
//
// A token is the scalar as it stands in the message (a string with its quotes). False always means
// "ask PostgreSQL", never "wrong".
#pragma once

#include <cstdint>
#include <string_view>

#include "core/data/column.h"
#include "core/decode/json_number.h"
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

// The text of a string without its quotes, whose control characters and encoding are checked
// already. Without a backslash the result is `raw` itself, otherwise it lies in the arena.
// ascii_only: an escape for anything else is for PostgreSQL to convert.
bool unescape_json_string(std::string_view raw, bool ascii_only, Arena& arena,
                          std::string_view* text);

// Of an object or array whose structure is checked: will jsonb's input take its scalars? False: ask
// PostgreSQL.
bool json_is_certain(std::string_view text, bool ascii_only, Arena& arena);

}  // namespace anomaly
