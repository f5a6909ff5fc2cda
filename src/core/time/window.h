// Windows of event time: which ones hold a time, and which are over. Microseconds since 2000-01-01
// UTC.
//
// Windows are numbered; starts and ends both grow with the number. Those of days and months have
// their bounds in the local time of a zone. Where a change of the zone makes two windows begin or
// end at the same moment, only one of them is there: a start, or an end, names one window.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/error.h"
#include "core/spec.h"
#include "core/time/zone.h"

namespace anomaly {

constexpr int64_t kMicrosecondsPerSecond = 1000000;
// 1970-01-01 00:00 UTC, where windows under a day are aligned.
constexpr int64_t kWindowOriginUs = -946684800 * kMicrosecondsPerSecond;

// The last start, of windows that begin each slide_us, up to a time, which is not infinite.
constexpr int64_t window_start(int64_t event_time_us, int64_t slide_us, int64_t offset_us) {
    // Both are taken modulo the slide first, so that no difference can overflow.
    int64_t into = event_time_us % slide_us - (kWindowOriginUs + offset_us % slide_us) % slide_us;
    into %= slide_us;
    return event_time_us - (into < 0 ? into + slide_us : into);
}

struct Window {
    int64_t start_us;
    int64_t end_us;
};

// One thread: remembers what it found last.
class WindowRule {
  public:
    static Error check(const WindowSpec& spec);
    // The spec has been checked.
    explicit WindowRule(const WindowSpec& spec);

    // The windows that hold the time, by start; until the next call.
    std::span<const Window> at(int64_t time_us) {
        if (time_us < same_from_us_ || time_us >= same_until_us_) find(time_us);
        return found_;
    }
    // The times for which at() finds what it found last: from the first until before the second.
    int64_t same_from_us() const { return same_from_us_; }
    int64_t same_until_us() const { return same_until_us_; }
    // PostgreSQL can show both bounds.
    static bool in_range(const Window& window);
    int64_t end_of(int64_t start_us);
    // The last start of the windows that are over at the time.
    int64_t last_start_over(int64_t time_us);
    // A time lies in at most so many windows.
    int64_t at_once() const { return (size_ + slide_ - 1) / slide_; }

  private:
    void find(int64_t time_us);
    void find_by_length(int64_t time_us);
    void find_by_number(int64_t time_us);
    // Numbers of days and months.
    int64_t local_at(int64_t count) const;
    int64_t bound(int64_t count) const { return zone_.to_utc(local_at(count)); }
    int64_t start_at(int64_t number) const { return bound(number * slide_); }
    int64_t end_at(int64_t number) const { return bound(number * slide_ + size_); }
    bool exists(int64_t number) const;
    int64_t number_near(int64_t time_us) const;

    WindowUnit unit_;
    int64_t slide_;
    int64_t size_;
    int64_t offset_us_;
    int64_t offset_months_;
    Zone zone_;

    std::vector<Window> found_;
    int64_t same_from_us_ = 0;  // at() finds the same for times in between
    int64_t same_until_us_ = 0;
    Window ended_ = {INT64_MIN, 0};  // end_of's last answer
    int64_t over_ = 0;               // last_start_over's, and for which times it is the same
    int64_t over_from_us_ = 0;
    int64_t over_until_us_ = 0;
};

}  // namespace anomaly
