#include "core/time/zone.h"

#include <algorithm>

namespace anomaly {

namespace {

constexpr int64_t kDayUs = int64_t{86400} * 1000000;
constexpr int64_t kCycleUs = 146097 * kDayUs;  // 400 years of the Gregorian calendar

}  // namespace

Zone::Zone(const ZoneSpec& spec)
    : first_offset_us_(spec.first_offset_us),
      repeats_(spec.repeats && spec.change_count > 0),
      changes_(spec.changes, spec.changes + spec.change_count) {}

int64_t Zone::into_table(int64_t utc_us) const {
    if (!repeats_ || utc_us < changes_.back().at_us) return utc_us;
    int64_t cycles = (utc_us - changes_.back().at_us) / kCycleUs + 1;
    return utc_us - cycles * kCycleUs;
}

size_t Zone::next_change(int64_t utc_us) const {
    auto after = std::upper_bound(changes_.begin(), changes_.end(), utc_us,
                                  [](int64_t time, const ZoneChange& c) { return time < c.at_us; });
    return static_cast<size_t>(after - changes_.begin());
}

int64_t Zone::to_local(int64_t utc_us) const {
    return utc_us + offset_before(next_change(into_table(utc_us)));
}

// As DetermineTimeZoneOffset of PostgreSQL: only the first change after the day before is asked.
int64_t Zone::to_utc(int64_t local_us) const {
    int64_t day_before = into_table(local_us - kDayUs);
    size_t change = next_change(day_before);
    int64_t before = offset_before(change);
    if (change == changes_.size()) return local_us - before;
    int64_t after = changes_[change].offset_us;
    int64_t boundary = changes_[change].at_us + (local_us - kDayUs - day_before);
    int64_t as_before = local_us - before;
    int64_t as_after = local_us - after;
    if (as_before < boundary && as_after < boundary) return as_before;
    if (as_before > boundary && as_after >= boundary) return as_after;
    return std::max(as_before, as_after);
}

}  // namespace anomaly
