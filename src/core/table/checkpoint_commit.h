// What one commit of a table appends to its checkpoint log, row by row: the delta, then snapshots
// of as many shards as the schedule wants. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/group/group_store.h"
#include "core/spec.h"
#include "core/table/checkpoint.h"

namespace anomaly {

class CheckpointCommit {
  public:
    // Both must outlive it.
    CheckpointCommit(GroupStore& store, SnapshotSchedule& schedule)
        : store_(store), schedule_(schedule), payload_(store) {}

    // Of the groups in windows that start after last_closed. Nothing may change in the store until
    // the last row has been given, or the commit is given up with all that the store holds.
    void begin(int64_t sequence, int64_t watermark, int64_t last_closed);
    // Valid until the next call; nullptr: that was the last.
    const CheckpointRow* next();

  private:
    bool goes(uint32_t slot) const { return store_.groups().window_start(slot) <= last_closed_; }
    std::span<const uint32_t> changed_slots();
    void begin_snapshot();
    void wrote_payload();

    GroupStore& store_;
    SnapshotSchedule& schedule_;
    CheckpointPayload payload_;
    int64_t sequence_ = 0;
    int64_t last_closed_ = INT64_MIN;
    int32_t shard_ = -1;  // whose snapshot is being written, -1: it is the delta
    bool is_open_ = false;
    std::vector<uint32_t> slots_;  // of the payload, where they are not the store's own
};

}  // namespace anomaly
