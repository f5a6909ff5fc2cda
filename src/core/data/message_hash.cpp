#include "core/data/message_hash.h"

namespace anomaly {
namespace {

constexpr uint64_t kOffsetBasis = 14695981039346656037u;
constexpr uint64_t kPrime = 1099511628211u;

uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * kPrime;
    return hash ^ (hash >> 32);
}

// Eight bytes at a time, little end first whatever the machine; the size separates the fields.
uint64_t mix_bytes(uint64_t hash, const void* data, int32_t size) {
    hash = mix(hash, static_cast<uint64_t>(static_cast<int64_t>(size)));
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (int32_t at = 0; at < size; at += 8) {
        const int32_t count = size - at < 8 ? size - at : 8;
        uint64_t word = 0;
        for (int32_t i = 0; i < count; i++) word |= static_cast<uint64_t>(bytes[at + i]) << (8 * i);
        hash = mix(hash, word);
    }
    return hash;
}

}  // namespace

uint64_t message_hash(int64_t timestamp_ms, const void* key, int32_t key_size, const void* value,
                      int32_t value_size) {
    uint64_t hash = mix(kOffsetBasis, static_cast<uint64_t>(timestamp_ms));
    hash = mix_bytes(hash, key, key_size);
    return mix_bytes(hash, value, value_size);
}

}  // namespace anomaly
