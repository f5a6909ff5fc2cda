#include "core/decode/uuid_text.h"

namespace anomaly {
namespace {

// -1: no hexadecimal digit.
int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

bool parse_uuid(std::string_view text, char* bytes) {
    constexpr size_t kTextSize = 36;
    if (text.size() != kTextSize) return false;
    size_t at = 0;
    for (size_t i = 0; i < kUuidBytes; i++) {
        bool hyphen = i == 4 || i == 6 || i == 8 || i == 10;
        if (hyphen && text[at++] != '-') return false;
        int high = hex_digit(text[at]);
        int low = hex_digit(text[at + 1]);
        if (high < 0 || low < 0) return false;
        bytes[i] = static_cast<char>(high << 4 | low);
        at += 2;
    }
    return true;
}

}  // namespace anomaly
