#include "core/time/window.h"

#include <algorithm>

namespace anomaly {

namespace {

constexpr int64_t kDayUs = 86400 * kMicrosecondsPerSecond;
constexpr int64_t kMondayUs = 2 * kDayUs;  // 2000-01-03
// PostgreSQL's timestamps: from 4714-11-24 BC until before 294277 AD.
constexpr int64_t kLeastTimeUs = -211813488000 * kMicrosecondsPerSecond;
constexpr int64_t kEndOfTimeUs = 9223371331200 * kMicrosecondsPerSecond;

int64_t add(int64_t a, int64_t b) {
    int64_t sum;
    if (!__builtin_add_overflow(a, b, &sum)) return sum;
    return a < 0 ? INT64_MIN : INT64_MAX;
}

// Far enough below the least time for the windows around it, which are no longer than 1000 years.
int64_t clamp_time(__int128 time_us) {
    return static_cast<int64_t>(std::clamp<__int128>(time_us, INT64_MIN / 2, kEndOfTimeUs));
}

int64_t units_max(WindowUnit unit) {
    constexpr int64_t kYears = 1000;
    if (unit == WindowUnit::kMonths) return 12 * kYears;
    return unit == WindowUnit::kDays ? 365 * kYears : 365 * kYears * kDayUs;
}

int64_t floor_divide(int64_t a, int64_t b) {
    return a / b - (a % b < 0 ? 1 : 0);
}

// Days since 2000-01-01 of the first of a month, counted from 2000-01. In years from March on: then
// the leap day is a year's last.
int64_t days_of_month(int64_t month) {
    int64_t from_march = month - 2;
    int64_t year = floor_divide(from_march, 12);
    int64_t in_year = from_march - 12 * year;
    int64_t leaps = floor_divide(year, 4) - floor_divide(year, 100) + floor_divide(year, 400);
    return 60 + 365 * year + leaps + (153 * in_year + 2) / 5;
}

// The month of a day, counted as above.
int64_t month_of_day(int64_t day) {
    int64_t month = floor_divide(day * 4800, 146097);
    while (days_of_month(month) > day) month--;
    while (days_of_month(month + 1) <= day) month++;
    return month;
}

}  // namespace

Error WindowRule::check(const WindowSpec& spec) {
    if (spec.slide <= 0 || spec.size <= 0) {
        return std::string("a window must be longer than nothing");
    }
    if (std::max(spec.slide, spec.size) > units_max(spec.unit)) {
        return std::string("a window is longer than 1000 years");
    }
    if ((spec.size - 1) / spec.slide >= kWindowsAtOnceMax) {
        return std::string("a time would lie in too many windows");
    }
    return {};
}

WindowRule::WindowRule(const WindowSpec& spec)
    : unit_(spec.unit),
      slide_(spec.slide),
      size_(spec.size),
      offset_us_(spec.offset_us),
      offset_months_(spec.offset_months),
      zone_(spec.zone) {}

bool WindowRule::in_range(const Window& window) {
    return window.start_us >= kLeastTimeUs && window.end_us < kEndOfTimeUs;
}

void WindowRule::find(int64_t time_us) {
    found_.clear();
    if (unit_ == WindowUnit::kMicroseconds) {
        find_by_length(time_us);
    } else {
        find_by_number(time_us);
    }
    std::reverse(found_.begin(), found_.end());
}

void WindowRule::find_by_length(int64_t time_us) {
    int64_t start = window_start(time_us, slide_, offset_us_);
    same_until_us_ = add(start, slide_);
    for (same_from_us_ = start;; start = add(start, -slide_)) {
        int64_t end = add(start, size_);
        if (end <= time_us) {
            same_from_us_ = std::max(same_from_us_, end);
            return;
        }
        found_.push_back({start, end});
        same_until_us_ = std::min(same_until_us_, end);
    }
}

int64_t WindowRule::local_at(int64_t count) const {
    if (unit_ == WindowUnit::kDays) {
        return clamp_time(__int128{count} * kDayUs + kMondayUs + offset_us_);
    }
    return clamp_time(__int128{days_of_month(count + offset_months_)} * kDayUs + offset_us_);
}

// No smaller than the last window that begins by then, and only a few greater.
int64_t WindowRule::number_near(int64_t time_us) const {
    int64_t local = clamp_time(__int128{zone_.to_local(time_us)} - offset_us_);
    int64_t day = floor_divide(local, kDayUs);
    int64_t count = unit_ == WindowUnit::kDays ? floor_divide(local - kMondayUs, kDayUs)
                                               : month_of_day(day) - offset_months_;
    return floor_divide(count, slide_) + 2;
}

bool WindowRule::exists(int64_t number) const {
    return start_at(number + 1) > start_at(number) && end_at(number) > end_at(number - 1);
}

void WindowRule::find_by_number(int64_t time_us) {
    int64_t number = number_near(time_us);
    while (start_at(number) > time_us) number--;
    same_from_us_ = start_at(number);
    same_until_us_ = start_at(number + 1);
    for (;; number--) {
        int64_t end = end_at(number);
        if (end <= time_us) {
            same_from_us_ = std::max(same_from_us_, end);
            return;
        }
        same_until_us_ = std::min(same_until_us_, end);
        if (exists(number)) found_.push_back({start_at(number), end});
    }
}

int64_t WindowRule::end_of(int64_t start_us) {
    if (unit_ == WindowUnit::kMicroseconds) return add(start_us, size_);
    if (ended_.start_us != start_us) {
        int64_t number = number_near(start_us);
        while (start_at(number) > start_us) number--;
        ended_ = {start_us, end_at(number)};
    }
    return ended_.end_us;
}

int64_t WindowRule::last_start_over(int64_t time_us) {
    if (time_us < kLeastTimeUs) return INT64_MIN;
    if (unit_ == WindowUnit::kMicroseconds) {
        return window_start(time_us - size_, slide_, offset_us_);
    }
    if (time_us < over_from_us_ || time_us >= over_until_us_) {
        int64_t number = number_near(time_us);
        while (end_at(number) > time_us) number--;
        over_from_us_ = end_at(number);
        over_until_us_ = end_at(number + 1);
        while (!exists(number)) number--;
        over_ = start_at(number);
    }
    return over_;
}

}  // namespace anomaly
