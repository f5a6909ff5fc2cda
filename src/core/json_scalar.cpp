#include "core/json_scalar.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/iso_time.h"

namespace anomaly {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Skips digits from `at`; the first that is none.
size_t skip_digits(std::string_view token, size_t at) {
    while (at < token.size() && is_digit(token[at])) at++;
    return at;
}

// jsonb keeps a number as numeric, whose text goes through the type's input: an integer has no sign
// at zero, and everything that is no plain integer is better asked for.
bool to_integer(std::string_view token, int64_t low, int64_t high, uint64_t* cell) {
    int64_t value = 0;
    auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
    if (error != std::errc() || end != token.data() + token.size()) return false;
    *cell = static_cast<uint64_t>(value);
    return value >= low && value <= high;
}

// Past these, limits of numeric begin to matter.
constexpr size_t kLongestNumber = 400;
constexpr size_t kExponentDigits = 3;

template <class Float>
bool to_float(std::string_view token, uint64_t* cell) {
    if (token.size() > kLongestNumber) return false;
    size_t exponent_at = token.find_first_of("eE");
    if (exponent_at != std::string_view::npos && token.size() - exponent_at > 2 + kExponentDigits) {
        return false;
    }
    Float value = 0;
    auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
    if (error != std::errc() || end != token.data() + token.size()) return false;
    if (value == 0) {
        value = 0;  // numeric has no negative zero
    } else if (!std::isnormal(value)) {
        return false;
    }
    *cell = std::bit_cast<uint64_t>(static_cast<double>(value));
    return true;
}

bool number_to_cell(Type type, std::string_view token, uint64_t* cell) {
    switch (type) {
        case Type::kInt2:
            return to_integer(token, INT16_MIN, INT16_MAX, cell);
        case Type::kInt4:
            return to_integer(token, INT32_MIN, INT32_MAX, cell);
        case Type::kInt8:
            return to_integer(token, INT64_MIN, INT64_MAX, cell);
        case Type::kFloat4:
            return to_float<float>(token, cell);
        case Type::kFloat8:
            return to_float<double>(token, cell);
        default:
            return false;
    }
}

bool string_to_cell(Type type, std::string_view text, uint64_t* cell) {
    switch (type) {
        case Type::kTimestamptz:
            return parse_iso_timestamptz(text, cell);
        case Type::kTimestamp:
            return parse_iso_timestamp(text, cell);
        case Type::kDate:
            return parse_iso_date(text, cell);
        default:
            return false;
    }
}

// Four hexadecimal digits at `at`; -1: there are not.
int32_t hex4(std::string_view raw, size_t at) {
    if (raw.size() < at + 4) return -1;
    uint32_t value = 0;
    auto [end, error] = std::from_chars(raw.data() + at, raw.data() + at + 4, value, 16);
    if (error != std::errc() || end != raw.data() + at + 4) return -1;
    return static_cast<int32_t>(value);
}

char* write_utf8(uint32_t c, char* to) {
    auto put = [&to](uint32_t byte) { *to++ = static_cast<char>(byte); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xC0 | (c >> 6));
        put(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        put(0xE0 | (c >> 12));
        put(0x80 | ((c >> 6) & 0x3F));
        put(0x80 | (c & 0x3F));
    } else {
        put(0xF0 | (c >> 18));
        put(0x80 | ((c >> 12) & 0x3F));
        put(0x80 | ((c >> 6) & 0x3F));
        put(0x80 | (c & 0x3F));
    }
    return to;
}

// Reads the \uXXXX (or pair of them) whose first digit is at *at; 0: PostgreSQL has to judge it
// (it refuses \u0000 and halves of pairs).
uint32_t read_unicode(std::string_view raw, size_t* at) {
    int32_t first = hex4(raw, *at);
    if (first <= 0) return 0;
    *at += 4;
    auto c = static_cast<uint32_t>(first);
    if (c < 0xD800 || c > 0xDFFF) return c;
    if (c > 0xDBFF || raw.substr(*at, 2) != "\\u") return 0;
    int32_t second = hex4(raw, *at + 2);
    if (second < 0xDC00 || second > 0xDFFF) return 0;
    *at += 6;
    return 0x10000 + ((c - 0xD800) << 10) + (static_cast<uint32_t>(second) - 0xDC00);
}

// What a one-letter escape stands for; 0: no such escape.
char short_escape(char letter) {
    switch (letter) {
        case '"':
        case '\\':
        case '/':
            return letter;
        case 'b':
            return '\b';
        case 'f':
            return '\f';
        case 'n':
            return '\n';
        case 'r':
            return '\r';
        case 't':
            return '\t';
        default:
            return 0;
    }
}

}  // namespace

bool is_json_number(std::string_view token) {
    size_t at = !token.empty() && token[0] == '-' ? 1 : 0;
    size_t whole_end = skip_digits(token, at);
    if (whole_end == at || (token[at] == '0' && whole_end > at + 1)) return false;
    at = whole_end;
    if (at < token.size() && token[at] == '.') {
        size_t fraction_end = skip_digits(token, at + 1);
        if (fraction_end == at + 1) return false;
        at = fraction_end;
    }
    if (at < token.size() && (token[at] == 'e' || token[at] == 'E')) {
        at++;
        if (at < token.size() && (token[at] == '+' || token[at] == '-')) at++;
        size_t exponent_end = skip_digits(token, at);
        if (exponent_end == at) return false;
        at = exponent_end;
    }
    return at == token.size();
}

bool scalar_to_cell(Type type, std::string_view token, uint64_t* cell) {
    if (token.empty()) return false;
    if (token[0] == '"') return string_to_cell(type, token.substr(1, token.size() - 2), cell);
    if (type == Type::kBool) {
        *cell = token == "true" ? 1 : 0;
        return token == "true" || token == "false";
    }
    return is_json_number(token) && number_to_cell(type, token, cell);
}

bool unescape_json_string(std::string_view raw, bool ascii_only, Arena& arena,
                          std::string_view* text) {
    size_t escape = raw.find('\\');
    if (escape == std::string_view::npos) {
        *text = raw;
        return true;
    }
    char* begin = arena.allocate(raw.size());  // an escape is never shorter than what it means
    char* to = begin;
    size_t at = 0;
    while (escape != std::string_view::npos) {
        std::memcpy(to, raw.data() + at, escape - at);
        to += escape - at;
        if (escape + 1 >= raw.size()) return false;
        char letter = raw[escape + 1];
        at = escape + 2;
        if (letter == 'u') {
            uint32_t c = read_unicode(raw, &at);
            if (c == 0 || (ascii_only && c >= 0x80)) return false;
            to = write_utf8(c, to);
        } else {
            char c = short_escape(letter);
            if (c == 0) return false;
            *to++ = c;
        }
        escape = raw.find('\\', at);
    }
    std::memcpy(to, raw.data() + at, raw.size() - at);
    to += raw.size() - at;
    *text = {begin, static_cast<size_t>(to - begin)};
    return true;
}

}  // namespace anomaly
