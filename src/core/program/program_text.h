// Inside of Program: texts as operands and results, and the counting of their characters.
#pragma once

#include <string_view>

#include "core/program/program_node.h"

namespace anomaly::program {

inline std::string_view text_at(Operand a, size_t row) {
    return {reinterpret_cast<const char*>(a.cells[2 * row]), a.cells[2 * row + 1]};
}

inline void put_text(Output out, size_t row, std::string_view text) {
    out.cells[2 * row] = reinterpret_cast<uint64_t>(text.data());
    out.cells[2 * row + 1] = text.size();
}

inline bool begins_character(char byte, bool utf8) {
    return !utf8 || (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
}

inline int64_t count_characters(std::string_view text, bool utf8) {
    int64_t count = 0;
    for (char byte : text) count += begins_character(byte, utf8) ? 1 : 0;
    return count;
}

// What follows the first `count` characters; count >= 0.
inline std::string_view skip_characters(std::string_view text, int64_t count, bool utf8) {
    for (size_t i = 0; i < text.size(); i++) {
        if (begins_character(text[i], utf8) && count-- == 0) return text.substr(i);
    }
    return text.substr(text.size());
}

// The first `count` characters; count >= 0.
inline std::string_view first_characters(std::string_view text, int64_t count, bool utf8) {
    return text.substr(0, text.size() - skip_characters(text, count, utf8).size());
}

}  // namespace anomaly::program
