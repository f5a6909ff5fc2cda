// From the arguments of tumble and hop to the windows they mean.
#include "pg/query/window_functions.h"

namespace anomaly::pg {

namespace {

constexpr int64 kYearsMax = 1000;
constexpr int64 kDaysMax = 365 * kYearsMax;

[[noreturn]] void invalid_interval(const char* message, const char* hint) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message), errhint("%s", hint)));
}

bool is_too_long(const Interval* interval) {
    return interval->month > 12 * kYearsMax || interval->month < -12 * kYearsMax ||
           interval->day > kDaysMax || interval->day < -kDaysMax ||
           interval->time > kDaysMax * USECS_PER_DAY || interval->time < -kDaysMax * USECS_PER_DAY;
}

WindowUnit unit_of(const Interval* interval, const char* what) {
    if ((interval->month != 0) + (interval->day != 0) + (interval->time != 0) > 1) {
        invalid_interval(psprintf("the %s of a window mixes months, days and hours", what),
                         "Give it in months or years, in days or weeks, or in hours or less.");
    }
    if (interval->month < 0 || interval->day < 0 || interval->time < 0 ||
        (interval->month == 0 && interval->day == 0 && interval->time == 0)) {
        invalid_interval(psprintf("the %s of a window must be greater than zero", what),
                         "Write tumble(time, size) or hop(time, slide, size).");
    }
    if (is_too_long(interval)) {
        invalid_interval(psprintf("the %s of a window is longer than 1000 years", what),
                         "Leave the window out for totals that are never closed.");
    }
    if (interval->month != 0) return WindowUnit::kMonths;
    return interval->day != 0 ? WindowUnit::kDays : WindowUnit::kMicroseconds;
}

int64 count_of(const Interval* interval, WindowUnit unit) {
    switch (unit) {
        case WindowUnit::kMonths:
            return interval->month;
        case WindowUnit::kDays:
            return interval->day;
        case WindowUnit::kMicroseconds:
            return interval->time;
    }
    return 0;
}

}  // namespace

WindowSpec make_window_spec(const Interval* slide, const Interval* size, const Interval* offset) {
    const WindowUnit unit = unit_of(size, "size");
    if (unit_of(slide, "slide") != unit) {
        invalid_interval("the slide and the size of a window are counted in different units",
                         "Give both in months or years, both in days or weeks, or both in hours or "
                         "less, such as '24 hours'.");
    }
    if (offset->month != 0 && unit != WindowUnit::kMonths) {
        invalid_interval("the offset of a window has months, its size has none",
                         "Give the offset in days or less.");
    }
    if (is_too_long(offset)) {
        invalid_interval("the offset of a window is longer than 1000 years",
                         "Windows repeat: a shorter offset means the same.");
    }
    WindowSpec spec = {};
    spec.unit = unit;
    spec.slide = count_of(slide, unit);
    spec.size = count_of(size, unit);
    spec.offset_us = offset->day * USECS_PER_DAY + offset->time;
    spec.offset_months = offset->month;
    if ((spec.size - 1) / spec.slide >= kWindowsAtOnceMax) {
        invalid_interval(psprintf("a time would lie in more than %d windows",
                                  static_cast<int>(kWindowsAtOnceMax)),
                         "Give a longer slide or a shorter size.");
    }
    return spec;
}

}  // namespace anomaly::pg
