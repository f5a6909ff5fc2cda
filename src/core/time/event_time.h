// May a message's event time move time? And the words for it if not.
#pragma once

#include <cstdint>
#include <string>

#include "core/data/column.h"
#include "core/error.h"

namespace anomaly {

// nullopt: it may. event_times: kTimestamptz.
Error check_event_time(const Column& event_times, int32_t row, int64_t now_us,
                       int64_t max_future_us);

}  // namespace anomaly
