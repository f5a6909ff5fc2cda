#include "core/time/event_time.h"

#include <chrono>
#include <cstdio>

namespace anomaly {

namespace {

constexpr int64_t kSecondUs = 1000000;
constexpr int64_t kDaySeconds = 86400;
constexpr int64_t kDaysTo2000 = 10957;  // from 1970

std::string utc_text(int64_t time_us) {
    int64_t seconds = time_us / kSecondUs - (time_us % kSecondUs < 0 ? 1 : 0);
    int64_t day = seconds / kDaySeconds - (seconds % kDaySeconds < 0 ? 1 : 0);
    int64_t second = seconds - day * kDaySeconds;
    int32_t since_1970 = static_cast<int32_t>(day + kDaysTo2000);
    // The calendar of <chrono> ends with the year 32767.
    constexpr int64_t kLastDay = 11248737;
    if (day + kDaysTo2000 > kLastDay) return "after the year 32767";
    std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{since_1970}}};
    char text[64];
    std::snprintf(text, sizeof text, "%d-%02u-%02u %02d:%02d:%02d UTC",
                  static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                  static_cast<unsigned>(date.day()), static_cast<int>(second / 3600),
                  static_cast<int>(second / 60 % 60), static_cast<int>(second % 60));
    return text;
}

std::string duration_text(int64_t duration_us) {
    int64_t seconds = duration_us / kSecondUs;
    char text[64];
    std::snprintf(text, sizeof text, "%02lld:%02lld:%02lld", static_cast<long long>(seconds / 3600),
                  static_cast<long long>(seconds / 60 % 60), static_cast<long long>(seconds % 60));
    return text;
}

}  // namespace

Error check_event_time(const Column& event_times, int32_t row, int64_t now_us,
                       int64_t max_future_us) {
    if (event_times.is_null(row)) return "event time is missing";
    int64_t time_us = event_times.int_at(row);
    if (time_us == INT64_MIN || time_us == INT64_MAX) return "event time is infinite";
    int64_t latest_us = 0;
    if (__builtin_add_overflow(now_us, max_future_us, &latest_us) || time_us <= latest_us) {
        return {};
    }
    return "event time " + utc_text(time_us) + " is more than " + duration_text(max_future_us) +
           " ahead of the clock";
}

}  // namespace anomaly
