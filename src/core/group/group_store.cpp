#include "core/group/group_store.h"

#include <algorithm>
#include <array>

namespace anomaly {

namespace {

// Gives each aggregate its place in a group's row, those first that need the largest alignment;
// what comes back is the size of the row's head: the states and one byte of marks.
uint32_t place_states(const std::vector<std::unique_ptr<Aggregate>>& aggregates) {
    std::vector<Aggregate*> order;
    for (auto& aggregate : aggregates) order.push_back(aggregate.get());
    std::stable_sort(order.begin(), order.end(), [](const Aggregate* a, const Aggregate* b) {
        return a->state_alignment() > b->state_alignment();
    });
    uint32_t offset = 0;
    for (Aggregate* aggregate : order) {
        const uint32_t alignment = aggregate->state_alignment();
        offset = (offset + alignment - 1) / alignment * alignment;
        aggregate->place_states(offset);
        offset += aggregate->state_bytes();
    }
    return offset + 1;
}

}  // namespace

GroupStore::GroupStore(std::vector<Type> key_types,
                       std::vector<std::unique_ptr<Aggregate>> aggregates)
    : codec_(std::move(key_types)),
      aggregates_(std::move(aggregates)),
      groups_(codec_.tail_bytes(), place_states(aggregates_)) {
    for (auto& aggregate : aggregates_) owns_memory_ = owns_memory_ || aggregate->owns_memory();
}

GroupStore::~GroupStore() {
    while (groups_.window_count() > 0) free_window(groups_.first_window());
}

uint32_t GroupStore::find_or_add(int64_t window_start, std::string_view key, uint32_t hash) {
    bool added = false;
    uint32_t slot = groups_.find_or_add(window_start, key, hash, &added);
    if (!added) return slot;
    char* group = row(slot);
    mark(group) = 0;
    for (auto& aggregate : aggregates_) aggregate->make(group);
    return slot;
}

uint32_t GroupStore::touch(int64_t window_start, const std::vector<const Column*>& keys,
                           int32_t row_number) {
    scratch_.clear();
    codec_.encode(keys, row_number, scratch_);
    std::string_view key = scratch_.view();
    uint32_t slot = find_or_add(window_start, key, groups_.hash_of(window_start, key));
    mark_changed(slot, row(slot));
    return slot;
}

void GroupStore::mark_changed(uint32_t slot, char* group) {
    if ((mark(group) & kChanged) != 0) return;
    changed_.push_back(slot);
    mark(group) |= kChanged;
}

void GroupStore::touch_all(std::span<const int64_t> window_starts, std::span<const int32_t> rows,
                           EncodedKeys& keys, std::vector<char*>& groups) {
    for (size_t i = 0; i < rows.size(); i += kTogether) {
        size_t count = std::min(kTogether, rows.size() - i);
        find_together(window_starts.subspan(i, count), rows.subspan(i, count), keys, groups);
    }
}

void GroupStore::find_together(std::span<const int64_t> window_starts,
                               std::span<const int32_t> rows, EncodedKeys& keys,
                               std::vector<char*>& groups) {
    std::array<Wanted, kTogether> wanted;
    keys.encode(rows);
    for (size_t i = 0; i < rows.size(); i++) {
        const EncodedKeys::Key& key = keys.at(rows[i]);
        wanted[i] = {&key, group_hash(window_starts[i], key.hash), -1};
        groups_.prefetch_entry(wanted[i].hash);
    }
    for (size_t i = 0; i < rows.size(); i++) {
        wanted[i].likely = groups_.likely_slot(wanted[i].hash);
    }
    for (size_t i = 0; i < rows.size(); i++) {
        std::string_view key = keys.bytes(*wanted[i].key);
        uint32_t slot = static_cast<uint32_t>(wanted[i].likely);
        if (wanted[i].likely < 0 || !groups_.is_group(slot, window_starts[i], key)) {
            slot = find_or_add(window_starts[i], key, wanted[i].hash);
        }
        groups.push_back(row(slot));
        mark_changed(slot, groups.back());
    }
}

void GroupStore::clear_changed() {
    for (size_t i = 0; i < changed_.size(); i++) {
        groups_.rows().prefetch_ahead(changed_, i);
        char* group = row(changed_[i]);
        mark(group) &= static_cast<uint8_t>(~kChanged);
        if (!owns_memory_) continue;
        for (auto& aggregate : aggregates_) aggregate->settle(group);
    }
    changed_.clear();
}

void GroupStore::free_window(int64_t window_start) {
    if (owns_memory_) {
        std::vector<uint32_t> slots;
        groups_.append_slots_of_window(window_start, slots);
        for (uint32_t slot : slots) {
            for (auto& aggregate : aggregates_) aggregate->free(row(slot));
        }
    }
    groups_.free_window(window_start);
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
        groups_.rows().prefetch_ahead(slots, static_cast<size_t>(row));
        const char* group = this->row(slots[static_cast<size_t>(row)]);
        codec_.decode(groups_.rows().key_of(group), keys, row);
        for (size_t a = 0; a < aggregates_.size(); a++) {
            if (!aggregates_[a]->result(group, aggregates[a], row)) {
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

void GroupStore::write_groups(Cursor& cursor, size_t bytes, ByteWriter& out) {
    const std::span<const uint32_t> slots = cursor.slots;
    for (; cursor.at < slots.size() && out.size() <= bytes; cursor.at++) {
        groups_.rows().prefetch_ahead(slots, cursor.at);
        write_group(slots[cursor.at], cursor.window_before, cursor.extent, out);
        cursor.window_before = groups_.window_start(slots[cursor.at]);
    }
}

void GroupStore::write_group(uint32_t slot, int64_t window_before, Extent extent, ByteWriter& out) {
    char* group = row(slot);
    out.zigzag(static_cast<int64_t>(static_cast<uint64_t>(groups_.window_start(slot)) -
                                    static_cast<uint64_t>(window_before)));
    out.byte((mark(group) & kWritten) != 0 ? 1 : 0);
    out.sized(groups_.rows().key_of(group));
    out.sized_by([&] {
        for (auto& aggregate : aggregates_) {
            if (extent == Extent::kChange) {
                aggregate->write_change(group, out);
            } else {
                aggregate->write(group, out);
            }
        }
    });
}

bool GroupStore::read_group(int64_t window_start, uint8_t written, std::string_view key,
                            std::string_view state, Extent extent) {
    uint32_t slot = find_or_add(window_start, key, groups_.hash_of(window_start, key));
    if (written != 0) set_written(slot);
    char* group = row(slot);
    ByteReader in(state);
    for (auto& aggregate : aggregates_) {
        if (extent == Extent::kChange) {
            aggregate->read_change(group, in);
        } else {
            aggregate->read(group, in);
        }
    }
    return in.ok() && in.at_end();
}

int32_t GroupStore::shard_of_key(int64_t window_start, std::string_view key) const {
    return shard_of(groups_.hash_of(window_start, key));
}

size_t GroupStore::memory_bytes() const {
    size_t bytes = groups_.memory_bytes() + changed_.capacity() * sizeof(changed_[0]);
    for (auto& aggregate : aggregates_) bytes += aggregate->memory_bytes();
    return bytes;
}

uint32_t GroupStore::bytes_per_group() const {
    return groups_.rows().head_bytes() + GroupRows::kMeanRestBytes;
}

}  // namespace anomaly
