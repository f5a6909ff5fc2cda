// JSON numbers: where one ends, and its value as the cell of a column, where PostgreSQL's result is
// certain. One walk over the digits serves both. No state.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/type.h"

namespace anomaly {

struct JsonNumber {
    uint64_t digits = 0;  // all of them as one integer, wrapped around where they do not fit
    uint32_t digit_count = 0;
    uint32_t fraction = 0;  // how many of them follow the point
    uint32_t size = 0;      // bytes of the whole number
    bool negative = false;
    bool has_point = false;
    bool has_exponent = false;
};

// Reads what RFC 8259 calls a number at the beginning of the text; false: there is none. What
// follows it is for the caller to judge. Texts are shorter than 4 GB.
bool read_json_number(std::string_view text, JsonNumber* out);

// False: ask PostgreSQL. token is the number's text.
bool number_to_cell(Type type, std::string_view token, const JsonNumber& number, uint64_t* cell);

}  // namespace anomaly
