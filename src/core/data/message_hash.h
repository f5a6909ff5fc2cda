// A 64-bit fingerprint of a Kafka message, stored in tables: it must never change. It tells whether
// the message at an offset is still the one that was read there; it is no defence against forgery.
#pragma once

#include <cstdint>

namespace anomaly {

// A size of -1 means null, which differs from empty.
uint64_t message_hash(int64_t timestamp_ms, const void* key, int32_t key_size, const void* value,
                      int32_t value_size);

}  // namespace anomaly
