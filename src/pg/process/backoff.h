// How long to wait before something that failed is started again.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

struct Backoff {
    int64 delay_ms;  // of the last failure, 0: none
    TimestampTz retry_at;
};

// Doubles from `first_ms` to `most_ms`; anew after something that had run for a minute.
inline void back_off(Backoff* backoff, TimestampTz now, TimestampTz started_at, int64 first_ms,
                     int64 most_ms) {
    constexpr int64 kHealthy_us = 60 * USECS_PER_SEC;
    if (started_at != 0 && now - started_at >= kHealthy_us) backoff->delay_ms = 0;
    const int64 doubled = backoff->delay_ms == 0 ? first_ms : 2 * backoff->delay_ms;
    backoff->delay_ms = doubled < most_ms ? doubled : most_ms;
    backoff->retry_at = now + backoff->delay_ms * 1000;
}

}  // namespace anomaly::pg
