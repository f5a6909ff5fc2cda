#include "core/time/source_clock.h"

#include <algorithm>

namespace anomaly {

namespace {

constexpr int64_t kIntervalMinUs = 250000;
constexpr int64_t kIntervalMaxUs = 5000000;

}  // namespace

SourceClock::SourceClock(int64_t idle_timeout_us)
    : idle_timeout_us_(idle_timeout_us),
      interval_us_(std::clamp(idle_timeout_us / 4, kIntervalMinUs, kIntervalMaxUs)) {}

SourceClock::Partition& SourceClock::at(int32_t partition) {
    if (static_cast<size_t>(partition) >= partitions_.size()) {
        partitions_.resize(static_cast<size_t>(partition) + 1);
    }
    return partitions_[static_cast<size_t>(partition)];
}

void SourceClock::assigned(int32_t partition, int64_t head_us) {
    Partition fresh;
    fresh.assigned = true;
    fresh.head_us = head_us;
    at(partition) = fresh;
    if (head_us != kNoTime)
        floor_us_ = floor_us_ == kNoTime ? head_us : std::min(floor_us_, head_us);
}

void SourceClock::message(int32_t partition, int64_t event_time_us) {
    Partition& p = at(partition);
    p.at_end = false;
    p.silence_us = 0;
    p.confirmed_us = kNoTime;
    p.requested_us = kNoTime;
    if (event_time_us == kNoTime) return;
    p.head_us = std::max(p.head_us, event_time_us);
    floor_us_ = floor_us_ == kNoTime ? event_time_us : std::min(floor_us_, event_time_us);
}

void SourceClock::bad_message(int32_t partition) {
    Partition& p = at(partition);
    p.at_end = false;
    p.requested_us = kNoTime;
}

void SourceClock::broker_eof(int32_t partition, int64_t now_us) {
    Partition& p = at(partition);
    p.at_end = true;
    bool in_time = p.requested_us == kNoTime || now_us - p.requested_us <= kAnswerLimitUs;
    if (p.confirmed_us != kNoTime && in_time) {
        p.silence_us += std::clamp<int64_t>(now_us - p.confirmed_us, 0, quantum_limit_us());
    }
    p.confirmed_us = now_us;
    p.requested_us = kNoTime;
}

void SourceClock::broker_down() {
    broker_up_ = false;
    for (Partition& p : partitions_) p.confirmed_us = p.requested_us = kNoTime;
}

void SourceClock::broker_up() {
    broker_up_ = true;
}

void SourceClock::tick(int64_t now_us) {
    bool waited = last_tick_us_ != kNoTime &&
                  (now_us - last_tick_us_ > quantum_limit_us() || now_us < last_tick_us_);
    for (Partition& p : partitions_) {
        bool overdue = p.requested_us != kNoTime && now_us - p.requested_us > kAnswerLimitUs;
        if (waited || overdue) p.confirmed_us = p.requested_us = kNoTime;
    }
    last_tick_us_ = now_us;
}

// A partition that is being read comes to its end by itself; the others are asked about.
int64_t SourceClock::confirm_us(const Partition& p) const {
    if (!p.assigned || !p.at_end) return INT64_MAX;
    if (p.requested_us != kNoTime) return p.requested_us + kAnswerLimitUs + 1;
    return p.confirmed_us == kNoTime ? INT64_MIN : p.confirmed_us + interval_us_;
}

int64_t SourceClock::next_confirm_us(bool something_waits) const {
    int64_t next = INT64_MAX;
    if (!something_waits || !broker_up_) return next;
    for (const Partition& p : partitions_) next = std::min(next, confirm_us(p));
    return next;
}

void SourceClock::take_confirms(bool something_waits, int64_t now_us, std::vector<int32_t>& out) {
    if (!something_waits || !broker_up_) return;
    for (size_t i = 0; i < partitions_.size(); i++) {
        if (confirm_us(partitions_[i]) > now_us) continue;
        partitions_[i].requested_us = now_us;
        out.push_back(static_cast<int32_t>(i));
    }
}

bool SourceClock::is_assigned(int32_t partition) const {
    return static_cast<size_t>(partition) < partitions_.size() &&
           partitions_[static_cast<size_t>(partition)].assigned;
}

bool SourceClock::counts(int32_t partition, int64_t now_us) const {
    if (!is_assigned(partition)) return false;
    const Partition& p = partitions_[static_cast<size_t>(partition)];
    bool fresh =
        p.confirmed_us != kNoTime && now_us - p.confirmed_us <= quantum_limit_us() + kAnswerLimitUs;
    return !(p.at_end && fresh && p.silence_us >= idle_timeout_us_);
}

bool SourceClock::any_counts(int64_t now_us) const {
    for (int32_t i = 0; i < partition_limit(); i++) {
        if (counts(i, now_us)) return true;
    }
    return false;
}

bool SourceClock::any_assigned() const {
    return std::any_of(partitions_.begin(), partitions_.end(),
                       [](const Partition& p) { return p.assigned; });
}

bool SourceClock::all_at_end() const {
    return any_assigned() &&
           std::all_of(partitions_.begin(), partitions_.end(),
                       [](const Partition& p) { return !p.assigned || p.at_end; });
}

int64_t SourceClock::silence_us() const {
    int64_t silence = INT64_MAX;
    for (const Partition& p : partitions_) {
        if (p.assigned) silence = std::min(silence, p.silence_us);
    }
    return silence == INT64_MAX ? 0 : silence;
}

void SourceClock::partitions_to_read(int64_t limit_us, uint32_t turn,
                                     std::vector<int32_t>& out) const {
    out.clear();
    int64_t slowest = INT64_MAX;
    for (const Partition& p : partitions_) {
        if (!p.assigned || p.at_end) continue;
        slowest = std::min(slowest, p.head_us == kNoTime ? floor_us_ : p.head_us);
    }
    for (size_t i = 0; i < partitions_.size(); i++) {
        const Partition& p = partitions_[i];
        if (!p.assigned) continue;
        // slowest may be kNoTime: then no event time is known anywhere, and nobody is ahead.
        bool ahead = p.head_us != kNoTime && slowest != kNoTime && slowest != INT64_MAX &&
                     p.head_us > slowest && p.head_us - slowest > limit_us;
        if (!ahead) out.push_back(static_cast<int32_t>(i));
    }
    if (out.empty()) return;
    std::rotate(out.begin(), out.begin() + static_cast<int64_t>(turn % out.size()), out.end());
    std::stable_sort(out.begin(), out.end(), [&](int32_t a, int32_t b) {
        return partitions_[static_cast<size_t>(a)].head_us <
               partitions_[static_cast<size_t>(b)].head_us;
    });
}

}  // namespace anomaly
