#include "core/decode/json_scalar.h"

#include <charconv>
#include <cstring>

namespace anomaly {
namespace {

// With both quotes; 0: it does not end, or holds a backslash or a control character.
size_t string_size(std::string_view text, bool* is_ascii) {
    unsigned char any = 0;
    for (size_t at = 1; at < text.size(); at++) {
        auto c = static_cast<unsigned char>(text[at]);
        if (c == '"') {
            *is_ascii = any < 0x80;
            return at + 1;
        }
        if (c < 0x20 || c == '\\') return 0;
        any |= c;
    }
    return 0;
}

size_t keyword_size(std::string_view text) {
    for (std::string_view word : {"true", "false", "null"}) {
        if (text.substr(0, word.size()) == word) return word.size();
    }
    return 0;
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

bool read_json_scalar(std::string_view text, JsonScalar* out) {
    if (text.empty()) return false;
    size_t size = 0;
    if (text[0] == '"') {
        size = string_size(text, &out->is_ascii);
        out->is_plain = size > 0;
    } else if (text[0] == 't' || text[0] == 'f' || text[0] == 'n') {
        size = keyword_size(text);
    } else {
        if (!read_json_number(text, &out->number)) return false;
        size = out->number.size;
    }
    out->token = text.substr(0, size);
    return size > 0;
}

bool token_to_scalar(std::string_view token, JsonScalar* out) {
    if (!token.empty() && token[0] == '"') {
        out->token = token;
        return token.size() >= 2 && token.back() == '"';
    }
    return read_json_scalar(token, out) && out->token.size() == token.size();
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

bool json_is_certain(std::string_view text, bool ascii_only, Arena& arena) {
    constexpr uint32_t kLongestNumber = 1000;  // past it, limits of numeric begin to matter
    for (size_t at = 0; at < text.size();) {
        char c = text[at];
        if (c == '"') {
            size_t end = ++at;
            while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
            if (end >= text.size()) return false;
            std::string_view ignored;
            if (!unescape_json_string(text.substr(at, end - at), ascii_only, arena, &ignored)) {
                return false;
            }
            at = end + 1;
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            JsonNumber number;
            if (!read_json_number(text.substr(at), &number)) return false;
            if (number.has_exponent || number.size > kLongestNumber) return false;
            at += number.size;
        } else {
            at++;
        }
    }
    return true;
}

}  // namespace anomaly
