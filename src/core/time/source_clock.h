// What a reader knows about the progress of its partitions in time: which of them still hold event
// time, and for how long each has been silent. No clock of its own: now_us is always given. One
// thread.
//
// A partition counts from its assignment on. It does not count only while the broker has freshly
// confirmed that we are at its end, and its silence has reached idle_timeout. Silence is the time
// since the partition's last good message, but only time that the broker vouched for while we ran:
// it grows from confirmation to confirmation, never by more than a quantum, and by nothing over an
// outage, an answer that took too long, or a wait of the worker. A restart begins it anew.
#pragma once

#include <cstdint>
#include <vector>

#include "core/spec.h"

namespace anomaly {

class SourceClock {
  public:
    static constexpr int64_t kAnswerLimitUs = 5000000;  // a confirmation that takes longer is none
    static constexpr int64_t kSlackUs = 1000000;  // of a quantum, for the broker's and our delays

    explicit SourceClock(int64_t idle_timeout_us);

    // head: largest event time known there before, kNoTime: none.
    void assigned(int32_t partition, int64_t head_us);
    // A good message was taken in. event_time_us: kNoTime for streams without.
    void message(int32_t partition, int64_t event_time_us);
    // Something was taken in that proves nothing about event time: there was more to read.
    void bad_message(int32_t partition);
    void broker_eof(int32_t partition, int64_t now_us);
    void broker_down();
    void broker_up();
    // Call at each turn of the worker, first: a long gap between turns counts for nothing.
    void tick(int64_t now_us);

    // When the next confirmation is wanted, at the latest; INT64_MAX: never. something_waits: there
    // is something that silence could still change (an open window).
    int64_t next_confirm_us(bool something_waits) const;
    // The partitions to confirm now; counts as requested.
    void take_confirms(bool something_waits, int64_t now_us, std::vector<int32_t>& out);

    int32_t partition_limit() const { return static_cast<int32_t>(partitions_.size()); }
    bool is_assigned(int32_t partition) const;
    bool counts(int32_t partition, int64_t now_us) const;
    bool any_counts(int64_t now_us) const;
    bool any_assigned() const;
    bool all_at_end() const;
    // Time since the last good message of any partition, as far as vouched for.
    int64_t silence_us() const;

    // Those that may be read on now, the furthest behind in event time first, equal ones by turns:
    // not more than limit_us ahead of the slowest one that has more to read. The slowest itself
    // always may.
    void partitions_to_read(int64_t limit_us, uint32_t turn, std::vector<int32_t>& out) const;

  private:
    struct Partition {
        bool assigned = false;
        bool at_end = false;
        int64_t head_us = kNoTime;
        int64_t silence_us = 0;
        int64_t confirmed_us = kNoTime;  // the last confirmation that time may be counted from
        int64_t requested_us = kNoTime;  // a confirmation is under way
    };
    Partition& at(int32_t partition);
    int64_t confirm_us(const Partition& p) const;
    int64_t quantum_limit_us() const { return interval_us_ + kSlackUs; }

    int64_t idle_timeout_us_;
    int64_t interval_us_;  // between confirmations
    int64_t last_tick_us_ = kNoTime;
    int64_t floor_us_ = kNoTime;  // smallest event time seen; where an unread partition may begin
    bool broker_up_ = true;
    std::vector<Partition> partitions_;  // by number, as Kafka counts them
};

}  // namespace anomaly
