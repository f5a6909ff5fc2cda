// Text functions whose results are numbers or parts of their operands. The bytes are valid in the
// database's encoding, which is UTF-8 (node.int_value 1) or has one byte a character.
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>

#include "core/program/program_text.h"
#include "core/program/like.h"

namespace anomaly::program {
namespace {

// ---- casts ----

bool text_to_int(Type type, std::string_view text, int64_t* result) {
    if (!text.empty() && text.front() == '+') {
        text.remove_prefix(1);
        if (!text.empty() && text.front() == '-') return false;
    }
    const char* end = text.data() + text.size();
    auto [stop, error] = std::from_chars(text.data(), end, *result);
    if (error != std::errc() || stop != end) return false;
    if (type == Type::kInt2) return *result == static_cast<int16_t>(*result);
    if (type == Type::kInt4) return *result == static_cast<int32_t>(*result);
    return true;
}

// float8in rounds correctly, as from_chars does. Only what begins with a digit or a minus and a
// digit: no blanks, hexadecimal digits, infinities.
bool text_to_float(std::string_view text, double* result) {
    std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
    if (digits.empty() || digits.front() < '0' || digits.front() > '9') return false;
    const char* end = text.data() + text.size();
    auto [stop, error] = std::from_chars(text.data(), end, *result);
    return error == std::errc() && stop == end;
}

// ---- parts ----

// From a position, counted from 1 and possibly before the beginning.
std::string_view substring(std::string_view text, int64_t from, bool utf8) {
    return from <= 1 ? text : skip_characters(text, from - 1, utf8);
}

bool substring_up_to(std::string_view text, int64_t from, int64_t count, bool utf8,
                     std::string_view* result) {
    if (count < 0) return false;
    int64_t end = from + count;  // both were int4
    if (end < 1) {
        *result = text.substr(0, 0);
        return true;
    }
    int64_t first = from < 1 ? 1 : from;
    *result = first_characters(substring(text, first, utf8), end - first, utf8);
    return true;
}

// left(text, n): a negative n leaves out the last -n characters.
std::string_view left(std::string_view text, int64_t n, bool utf8) {
    if (n < 0) n += count_characters(text, utf8);
    return n <= 0 ? text.substr(0, 0) : first_characters(text, n, utf8);
}

// right(text, n): a negative n leaves out the first -n characters.
std::string_view right(std::string_view text, int64_t n, bool utf8) {
    int64_t skipped = n < 0 ? -n : count_characters(text, utf8) - n;
    return skipped <= 0 ? text : skip_characters(text, skipped, utf8);
}

std::string_view trim(std::string_view text, bool at_begin, bool at_end) {
    while (at_begin && text.starts_with(' ')) text.remove_prefix(1);
    while (at_end && text.ends_with(' ')) text.remove_suffix(1);
    return text;
}

int64_t position(std::string_view text, std::string_view part, bool utf8) {
    size_t at = text.find(part);
    if (at == std::string_view::npos) return 0;
    return count_characters(text.substr(0, at), utf8) + 1;
}

// ---- loops ----

template <class F>
void number_of_text(Operand a, size_t n, Output out, F f) {
    for (size_t i = 0; i < n; i++) {
        uint64_t result = 0;
        uint8_t state = a.states[i];
        if (state == 0 && !f(text_at(a, i), &result)) state = kUnsure;
        out.cells[i] = result;
        out.states[i] = state;
    }
}

template <class F>
void number_of_texts(Operand a, Operand b, size_t n, Output out, F f) {
    for (size_t i = 0; i < n; i++) {
        auto state = static_cast<uint8_t>(a.states[i] | b.states[i]);
        out.cells[i] = state == 0 ? static_cast<uint64_t>(f(text_at(a, i), text_at(b, i))) : 0;
        out.states[i] = state;
    }
}

// f(row, &text) is called where all operands have values.
template <class F>
void part_of_text(Operand a, Operand b, Operand c, size_t n, Output out, F f) {
    for (size_t i = 0; i < n; i++) {
        uint8_t state = a.states[i];
        if (b.states != nullptr) state |= b.states[i];
        if (c.states != nullptr) state |= c.states[i];
        std::string_view result;
        if (state == 0 && !f(i, &result)) state = kUnsure;
        put_text(out, i, result);
        out.states[i] = state;
    }
}

template <class F>
void part_by_count(Operand a, Operand b, size_t n, Output out, F f) {
    part_of_text(a, b, {}, n, out, [=](size_t i, std::string_view* result) {
        *result = f(text_at(a, i), to_int(b.cells[i]));
        return true;
    });
}

void bool_to_text(Operand a, size_t n, Output out) {
    part_of_text(a, {}, {}, n, out, [=](size_t i, std::string_view* result) {
        *result = a.cells[i] != 0 ? std::string_view("true") : std::string_view("false");
        return true;
    });
}

void trim_all(Op op, Operand a, size_t n, Output out) {
    part_of_text(a, {}, {}, n, out, [=](size_t i, std::string_view* result) {
        *result = trim(text_at(a, i), op != Op::kTextTrimRight, op != Op::kTextTrimLeft);
        return true;
    });
}

void evaluate_part(const ExprNode& node, Operand a, Operand b, Operand c, size_t n, Output out) {
    bool utf8 = node.int_value != 0;
    switch (node.op) {
        case Op::kTextLeft:
            return part_by_count(a, b, n, out, [utf8](std::string_view text, int64_t count) {
                return left(text, count, utf8);
            });
        case Op::kTextRight:
            return part_by_count(a, b, n, out, [utf8](std::string_view text, int64_t count) {
                return right(text, count, utf8);
            });
        case Op::kTextSubstr:
            return part_by_count(a, b, n, out, [utf8](std::string_view text, int64_t from) {
                return substring(text, from, utf8);
            });
        case Op::kTextSubstrUpTo:
            return part_of_text(a, b, c, n, out, [=](size_t i, std::string_view* result) {
                return substring_up_to(text_at(a, i), to_int(b.cells[i]), to_int(c.cells[i]), utf8,
                                       result);
            });
        default:
            return trim_all(node.op, a, n, out);
    }
}

void evaluate_to_number(const ExprNode& node, Operand a, size_t n, Output out) {
    bool utf8 = node.int_value != 0;
    switch (node.op) {
        case Op::kTextToInt:
            return number_of_text(a, n, out,
                                  [type = node.type](std::string_view text, uint64_t* r) {
                                      int64_t value = 0;
                                      bool sure = text_to_int(type, text, &value);
                                      *r = from_int(value);
                                      return sure;
                                  });
        case Op::kTextToFloat:
            return number_of_text(a, n, out, [](std::string_view text, uint64_t* r) {
                double value = 0;
                bool sure = text_to_float(text, &value);
                *r = from_float(value);
                return sure;
            });
        case Op::kTextLength:
            return number_of_text(a, n, out, [utf8](std::string_view text, uint64_t* r) {
                *r = from_int(count_characters(text, utf8));
                return true;
            });
        default:  // kTextBytes
            return number_of_text(a, n, out, [](std::string_view text, uint64_t* r) {
                *r = text.size();
                return true;
            });
    }
}

}  // namespace

void evaluate_text(const ExprNode& node, Operand a, Operand b, Operand c, size_t n, Output out) {
    bool utf8 = node.int_value != 0;
    switch (node.op) {
        case Op::kBoolToText:
            return bool_to_text(a, n, out);
        case Op::kTextToInt:
        case Op::kTextToFloat:
        case Op::kTextLength:
        case Op::kTextBytes:
            return evaluate_to_number(node, a, n, out);
        case Op::kTextPosition:
            return number_of_texts(a, b, n, out,
                                   [utf8](std::string_view text, std::string_view part) {
                                       return position(text, part, utf8);
                                   });
        case Op::kTextStartsWith:
            return number_of_texts(a, b, n, out, [](std::string_view text, std::string_view part) {
                return text.starts_with(part);
            });
        case Op::kTextLike:
            return number_of_texts(a, b, n, out,
                                   [utf8](std::string_view text, std::string_view pattern) {
                                       return is_like(text, pattern, utf8);
                                   });
        default:
            return evaluate_part(node, a, b, c, n, out);
    }
}

}  // namespace anomaly::program
