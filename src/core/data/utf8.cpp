#include "core/data/utf8.h"

#include <simdjson.h>

#include <cstdint>
#include <cstring>

namespace anomaly {

bool is_ascii(std::string_view bytes) {
    uint64_t any = 0;
    size_t at = 0;
    for (; at + sizeof(uint64_t) <= bytes.size(); at += sizeof(uint64_t)) {
        uint64_t word;
        std::memcpy(&word, bytes.data() + at, sizeof word);
        any |= word;
    }
    for (; at < bytes.size(); at++) any |= static_cast<unsigned char>(bytes[at]);
    return (any & 0x8080808080808080) == 0;
}

bool is_utf8(std::string_view bytes) {
    return bytes.empty() || simdjson::validate_utf8(bytes.data(), bytes.size());
}

}  // namespace anomaly
