// Tumbling windows in event time, microseconds since 2000-01-01 UTC.
#pragma once

#include <cstdint>

namespace anomaly {

constexpr int64_t kMicrosecondsPerSecond = 1000000;
// 1970-01-01 00:00 UTC, where windows under a day are aligned.
constexpr int64_t kWindowOriginUs = -946684800 * kMicrosecondsPerSecond;

// Start of the window that holds an event time, which is not infinite.
constexpr int64_t window_start(int64_t event_time_us, int64_t size_us, int64_t offset_us) {
    // Both are taken modulo the size first, so that no difference can overflow.
    int64_t into = event_time_us % size_us - (kWindowOriginUs + offset_us % size_us) % size_us;
    into %= size_us;
    return event_time_us - (into < 0 ? into + size_us : into);
}

}  // namespace anomaly
