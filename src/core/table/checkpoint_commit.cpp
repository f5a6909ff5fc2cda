#include "core/table/checkpoint_commit.h"

#include <algorithm>
#include <iterator>

namespace anomaly {

void CheckpointCommit::begin(int64_t sequence, int64_t watermark, int64_t last_closed) {
    sequence_ = sequence;
    last_closed_ = last_closed;
    shard_ = -1;
    is_open_ = true;
    payload_.begin_delta(changed_slots(), watermark, sequence);
}

std::span<const uint32_t> CheckpointCommit::changed_slots() {
    const std::vector<uint32_t>& changed = store_.changed();
    if (last_closed_ == INT64_MIN) return changed;
    slots_.clear();
    std::remove_copy_if(changed.begin(), changed.end(), std::back_inserter(slots_),
                        [this](uint32_t slot) { return goes(slot); });
    return slots_;
}

const CheckpointRow* CheckpointCommit::next() {
    while (is_open_) {
        if (const CheckpointRow* row = payload_.next()) return row;
        wrote_payload();
        shard_ = schedule_.next_shard();
        is_open_ = shard_ >= 0;
        if (is_open_) begin_snapshot();
    }
    constexpr size_t kMany = 1 << 20;
    if (slots_.capacity() > kMany) slots_ = {};
    return nullptr;
}

void CheckpointCommit::wrote_payload() {
    if (shard_ >= 0) {
        schedule_.wrote_shard(shard_, sequence_, payload_.size());
    } else {
        schedule_.wrote_delta(sequence_, payload_.size(),
                              static_cast<int64_t>(store_.memory_bytes()));
    }
}

void CheckpointCommit::begin_snapshot() {
    slots_.clear();
    store_.groups().append_slots_of_shard(shard_, slots_);
    std::erase_if(slots_, [this](uint32_t slot) { return goes(slot); });
    store_.sort_slots(slots_);
    payload_.begin_snapshot(slots_, shard_, sequence_);
}

}  // namespace anomaly
