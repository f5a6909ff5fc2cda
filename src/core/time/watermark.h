// The event time of one continuous table: the largest event times it has seen, partition by
// partition, and its watermark, which never goes back. One thread.
//
// The watermark is the smallest, over the partitions that count, of the largest event time seen
// less watermark_delay; a counting partition without any event holds it. When no partition counts,
// it is what the furthest of them reached plus the silence since the last good message: so the last
// window of a silent topic closes, also when the data are old.
#pragma once

#include <cstdint>
#include <vector>

#include "core/spec.h"
#include "core/time/source_clock.h"

namespace anomaly {

class TableClock {
  public:
    TableClock(int64_t watermark_delay_us, const TableProgress& progress);

    void message(int32_t partition, int64_t event_time_us);
    // Where the watermark would be now.
    int64_t watermark_at(const SourceClock& source, int64_t now_us) const;
    // Moves it there, and no further back than it is.
    void advance_to(int64_t watermark_us);

    int64_t watermark() const { return watermark_us_; }
    // kNoTime: none seen.
    int64_t max_event_time(int32_t partition) const;

  private:
    int64_t delay_us_;
    int64_t watermark_us_;
    std::vector<int64_t> max_event_us_;  // by partition
};

}  // namespace anomaly
