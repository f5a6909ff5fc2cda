#include "core/group/group_store.h"

#include <algorithm>
#include <array>

namespace anomaly {

GroupStore::GroupStore(std::vector<Type> key_types,
                       std::vector<std::unique_ptr<Aggregate>> aggregates)
    : codec_(std::move(key_types)),
      groups_(codec_.tail_bytes()),
      aggregates_(std::move(aggregates)) {}

uint32_t GroupStore::find_or_add(int64_t window_start, std::string_view key, uint32_t hash) {
    bool added = false;
    uint32_t slot = groups_.find_or_add(window_start, key, hash, &added);
    if (!added) return slot;
    marks_.resize(groups_.slot_limit());
    marks_[slot] = 0;
    for (auto& aggregate : aggregates_) {
        aggregate->resize(groups_.slot_limit());
        aggregate->clear(slot);
    }
    return slot;
}

uint32_t GroupStore::touch(int64_t window_start, const std::vector<const Column*>& keys,
                           int32_t row) {
    scratch_.clear();
    codec_.encode(keys, row, scratch_);
    std::string_view key = scratch_.view();
    uint32_t slot = find_or_add(window_start, key, groups_.hash_of(window_start, key));
    mark_changed(slot);
    return slot;
}

void GroupStore::mark_changed(uint32_t slot) {
    if (is_changed(slot)) return;
    changed_.push_back(slot);
    marks_[slot] |= kChanged;
}

void GroupStore::touch_all(std::span<const int64_t> window_starts, std::span<const int32_t> rows,
                           const std::vector<const Column*>& keys, std::vector<uint32_t>& slots) {
    for (size_t i = 0; i < rows.size(); i += kTogether) {
        size_t count = std::min(kTogether, rows.size() - i);
        find_together(window_starts.subspan(i, count), rows.subspan(i, count), keys, slots);
    }
}

void GroupStore::find_together(std::span<const int64_t> window_starts,
                               std::span<const int32_t> rows,
                               const std::vector<const Column*>& keys,
                               std::vector<uint32_t>& slots) {
    std::array<Wanted, kTogether> wanted;
    scratch_.clear();
    for (size_t i = 0; i < rows.size(); i++) {
        size_t at = scratch_.size();
        codec_.encode(keys, rows[i], scratch_);
        std::string_view key = scratch_.view().substr(at);
        wanted[i] = {at, key.size(), groups_.hash_of(window_starts[i], key), -1};
        groups_.prefetch_entry(wanted[i].hash);
    }
    for (size_t i = 0; i < rows.size(); i++) {
        wanted[i].likely = groups_.likely_slot(wanted[i].hash);
    }
    for (size_t i = 0; i < rows.size(); i++) {
        if (wanted[i].likely >= 0) groups_.prefetch_key(static_cast<uint32_t>(wanted[i].likely));
    }
    for (size_t i = 0; i < rows.size(); i++) {
        std::string_view key = scratch_.view().substr(wanted[i].key_at, wanted[i].key_size);
        uint32_t slot = static_cast<uint32_t>(wanted[i].likely);
        if (wanted[i].likely < 0 || !groups_.is_group(slot, window_starts[i], key)) {
            slot = find_or_add(window_starts[i], key, wanted[i].hash);
        }
        slots.push_back(slot);
        mark_changed(slot);
    }
}

void GroupStore::prefetch(std::span<const uint32_t> slots) const {
    for (uint32_t slot : slots) {
        groups_.prefetch_group(slot);
        __builtin_prefetch(&marks_[slot]);
    }
    for (auto& aggregate : aggregates_) aggregate->prefetch(slots);
    for (uint32_t slot : slots) groups_.prefetch_key(slot);
}

void GroupStore::sort_changed() {
    // Where many of all groups are changed, their marks are a quicker way to the same.
    constexpr size_t kFew = 32;
    if (changed_.size() * kFew < groups_.slot_limit()) {
        std::sort(changed_.begin(), changed_.end());
        return;
    }
    size_t count = 0;
    for (uint32_t slot = 0; slot < groups_.slot_limit(); slot++) {
        if (is_changed(slot)) changed_[count++] = slot;
    }
}

void GroupStore::clear_changed() {
    for (auto& aggregate : aggregates_) {
        if (!aggregate->owns_memory()) continue;
        for (uint32_t slot : changed_) aggregate->settle(slot);
    }
    for (uint32_t slot : changed_) marks_[slot] &= static_cast<uint8_t>(~kChanged);
    changed_.clear();
}

void GroupStore::free_window(int64_t window_start) {
    std::vector<uint32_t> slots;
    for (auto& aggregate : aggregates_) {
        if (!aggregate->owns_memory()) continue;
        if (slots.empty()) groups_.append_slots_of_window(window_start, slots);
        for (uint32_t slot : slots) aggregate->clear(slot);
    }
    groups_.free_window(window_start);
}

bool GroupStore::is_sparse() const {
    constexpr uint32_t kWorthIt = 1 << 12;
    return groups_.slot_limit() >= kWorthIt && groups_.size() < groups_.slot_limit() / 4;
}

void GroupStore::compact(std::vector<std::unique_ptr<Aggregate>> aggregates) {
    constexpr size_t kPieceGroups = 4096;
    GroupStore fresh(codec_.types(), std::move(aggregates));
    std::vector<uint32_t> slots;
    for (int32_t shard = 0; shard < kShardCount; shard++) {
        slots.clear();
        groups_.append_slots_of_shard(shard, slots);
        for (size_t from = 0; from < slots.size(); from += kPieceGroups) {
            std::span<const uint32_t> piece(slots);
            piece = piece.subspan(from, std::min(kPieceGroups, slots.size() - from));
            ByteWriter bytes;
            write_groups(piece, Extent::kWhole, bytes, [] {});
            ByteReader in(bytes.view());
            fresh.read_groups(in, Extent::kWhole, [](int64_t, int32_t) { return true; });
        }
    }
    *this = std::move(fresh);
}

void GroupStore::columns(std::span<const uint32_t> slots, std::vector<Column>& keys,
                         std::vector<Column>& aggregates, std::vector<uint8_t>& failed) const {
    int32_t count = static_cast<int32_t>(slots.size());
    keys.clear();
    for (Type type : codec_.types()) keys.emplace_back(type).assign_nulls(count);
    aggregates.clear();
    for (auto& a : aggregates_) aggregates.emplace_back(a->result_type()).assign_nulls(count);
    failed.assign(slots.size(), 0);
    for (int32_t row = 0; row < count; row++) {
        uint32_t slot = slots[static_cast<size_t>(row)];
        codec_.decode(groups_.key(slot), keys, row);
        for (size_t a = 0; a < aggregates_.size(); a++) {
            if (!aggregates_[a]->result(slot, aggregates[a], row)) {
                failed[static_cast<size_t>(row)] = 1;
            }
        }
    }
}

void GroupStore::keys_of_shard(int32_t shard, std::vector<Column>& keys) const {
    std::vector<uint32_t> slots;
    groups_.append_slots_of_shard(shard, slots);
    keys.clear();
    for (Type type : codec_.types()) {
        keys.emplace_back(type).assign_nulls(static_cast<int32_t>(slots.size()));
    }
    int32_t row = 0;
    for (uint32_t slot : slots) codec_.decode(groups_.key(slot), keys, row++);
}

void GroupStore::write_shape(ByteWriter& out) const {
    out.varint(codec_.types().size());
    for (Type type : codec_.types()) out.byte(static_cast<uint8_t>(type));
    out.varint(aggregates_.size());
    for (auto& a : aggregates_) out.byte(static_cast<uint8_t>(a->result_type()));
}

bool GroupStore::read_shape(ByteReader& in) const {
    bool same = in.varint() == codec_.types().size();
    for (Type type : codec_.types()) same = in.byte() == static_cast<uint8_t>(type) && same;
    same = in.varint() == aggregates_.size() && same;
    for (auto& a : aggregates_) {
        same = in.byte() == static_cast<uint8_t>(a->result_type()) && same;
    }
    return same && in.ok();
}

void GroupStore::write_group(uint32_t slot, int64_t window_before, Extent extent, ByteWriter& out) {
    out.zigzag(static_cast<int64_t>(static_cast<uint64_t>(groups_.window_start(slot)) -
                                    static_cast<uint64_t>(window_before)));
    out.byte(is_written(slot) ? 1 : 0);
    out.sized(groups_.key(slot));
    scratch_.clear();
    for (auto& aggregate : aggregates_) {
        if (extent == Extent::kChange) {
            aggregate->write_change(slot, scratch_);
        } else {
            aggregate->write(slot, scratch_);
        }
    }
    out.sized(scratch_.view());
}

bool GroupStore::read_group(int64_t window_start, uint8_t written, std::string_view key,
                            std::string_view state, Extent extent) {
    uint32_t slot = find_or_add(window_start, key, groups_.hash_of(window_start, key));
    if (written != 0) set_written(slot);
    ByteReader in(state);
    for (auto& aggregate : aggregates_) {
        if (extent == Extent::kChange) {
            aggregate->read_change(slot, in);
        } else {
            aggregate->read(slot, in);
        }
    }
    return in.ok() && in.at_end();
}

int32_t GroupStore::shard_of_key(int64_t window_start, std::string_view key) const {
    return shard_of(group_hash(window_start, key.substr(0, key.size() - codec_.tail_bytes())));
}

size_t GroupStore::memory_bytes() const {
    size_t bytes =
        groups_.memory_bytes() + marks_.memory_bytes() + changed_.capacity() * sizeof(changed_[0]);
    for (auto& aggregate : aggregates_) bytes += aggregate->memory_bytes();
    return bytes;
}

uint32_t GroupStore::bytes_per_group() const {
    uint32_t bytes = 17;  // of the table and its marks
    for (auto& aggregate : aggregates_) bytes += aggregate->state_bytes();
    return bytes;
}

}  // namespace anomaly
