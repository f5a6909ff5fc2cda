// Eight bytes at a time: little-endian words of memory, on any machine.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace anomaly {

constexpr size_t kWordBytes = sizeof(uint64_t);

inline uint64_t load_word(const char* bytes) {
    uint64_t word;
    std::memcpy(&word, bytes, kWordBytes);
    if constexpr (std::endian::native != std::endian::little) word = __builtin_bswap64(word);
    return word;
}

inline void store_word(char* bytes, uint64_t word) {
    if constexpr (std::endian::native != std::endian::little) word = __builtin_bswap64(word);
    std::memcpy(bytes, &word, kWordBytes);
}

// Fewer than a word, as a word.
inline uint64_t load_part(const char* bytes, size_t size) {
    uint64_t word = 0;
    for (size_t i = size; i > 0; i--) word = word << 8 | static_cast<uint8_t>(bytes[i - 1]);
    return word;
}

// As memcmp(a, b, size) == 0, without a call: for short strings.
inline bool equal_bytes(const char* a, const char* b, size_t size) {
    if (size < kWordBytes) return load_part(a, size) == load_part(b, size);
    const size_t last = size - kWordBytes;
    for (size_t at = 0; at < last; at += kWordBytes) {
        if (load_word(a + at) != load_word(b + at)) return false;
    }
    return load_word(a + last) == load_word(b + last);
}

}  // namespace anomaly
