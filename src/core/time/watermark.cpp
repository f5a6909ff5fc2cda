#include "core/time/watermark.h"

#include <algorithm>

namespace anomaly {

TableClock::TableClock(int64_t watermark_delay_us, const TableProgress& progress)
    : delay_us_(watermark_delay_us), watermark_us_(progress.watermark) {
    for (int32_t i = 0; i < progress.partition_count; i++) {
        const PartitionProgress& p = progress.partitions[i];
        if (p.max_event_time != kNoTime) message(p.partition, p.max_event_time);
    }
}

void TableClock::message(int32_t partition, int64_t event_time_us) {
    size_t index = static_cast<size_t>(partition);
    if (index >= max_event_us_.size()) max_event_us_.resize(index + 1, kNoTime);
    max_event_us_[index] = std::max(max_event_us_[index], event_time_us);
}

int64_t TableClock::max_event_time(int32_t partition) const {
    size_t index = static_cast<size_t>(partition);
    return index < max_event_us_.size() ? max_event_us_[index] : kNoTime;
}

int64_t TableClock::watermark_at(const SourceClock& source, int64_t now_us) const {
    if (!source.any_assigned()) return watermark_us_;
    int64_t slowest = INT64_MAX;
    int64_t furthest = kNoTime;
    bool any_counts = false;
    for (int32_t i = 0; i < source.partition_limit(); i++) {
        if (!source.is_assigned(i)) continue;
        int64_t seen = max_event_time(i);
        furthest = std::max(furthest, seen);
        if (!source.counts(i, now_us)) continue;
        any_counts = true;
        slowest = std::min(slowest, seen);
    }
    int64_t base = any_counts ? slowest : furthest;
    if (base == kNoTime) return watermark_us_;
    int64_t silence = any_counts ? 0 : source.silence_us();
    return std::max(watermark_us_, base - delay_us_ + silence);
}

void TableClock::advance_to(int64_t watermark_us) {
    watermark_us_ = std::max(watermark_us_, watermark_us);
}

}  // namespace anomaly
