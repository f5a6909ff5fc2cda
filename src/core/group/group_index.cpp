#include "core/group/group_index.h"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

namespace anomaly {

GroupIndex::GroupIndex() {
    constexpr uint64_t kFirstSize = 128;
    for (Part& part : parts_) resize(part, kFirstSize);
}

void GroupIndex::put(Part& part, const Entry& entry) {
    Entry* entries = part.entries();
    uint32_t at = home_in(part, entry.hash);
    while (entries[at].slot != kNone) at = after(part, at);
    entries[at] = entry;
}

void GroupIndex::add(uint32_t hash, uint32_t slot) {
    Part& part = parts_[part_of(hash)];
    if (is_crowded(part.used + uint64_t{1}, part.size)) {
        constexpr uint32_t kLeastGrowth = 4;
        resize(part, uint64_t{part.size} + std::max(part.size / 4, kLeastGrowth));
    }
    put(part, {hash, slot});
    part.used++;
}

void GroupIndex::resize(Part& part, uint64_t size) {
    if (size > UINT32_MAX / 2) throw std::bad_alloc();
    const uint32_t old_size = part.size;
    LargeMemory old(size * sizeof(Entry));
    std::swap(old, part.memory);
    part.size = static_cast<uint32_t>(part.memory.size() / sizeof(Entry));
    std::uninitialized_fill_n(part.entries(), part.size, Entry{0, kNone});
    const Entry* old_entries = reinterpret_cast<const Entry*>(old.data());
    for (uint32_t i = 0; i < old_size; i++) {
        if (old_entries[i].slot != kNone) put(part, old_entries[i]);
    }
    entries_ += part.size - old_size;
}

void GroupIndex::expect(uint64_t groups) {
    uint64_t share = groups / parts_.size();
    for (Part& part : parts_) {
        if (is_crowded(share, part.size)) resize(part, share + share / 4 + 1);
    }
}

// Moves the entries after it back, so that no search ever meets a gap or a tombstone.
void GroupIndex::erase(uint32_t hash, uint32_t slot) {
    Part& part = parts_[part_of(hash)];
    Entry* entries = part.entries();
    auto distance = [&](uint32_t from, uint32_t to) {
        return to >= from ? to - from : to + part.size - from;
    };
    uint32_t at = home_in(part, hash);
    while (entries[at].slot != slot) at = after(part, at);
    for (uint32_t next = after(part, at); entries[next].slot != kNone; next = after(part, next)) {
        if (distance(home_in(part, entries[next].hash), next) < distance(at, next)) continue;
        entries[at] = entries[next];
        at = next;
    }
    entries[at].slot = kNone;
    part.used--;
}

// From where the first would begin to the first gap after where the last would.
void GroupIndex::append_slots_of_shard(int32_t shard, std::vector<uint32_t>& slots) const {
    const uint32_t first = static_cast<uint32_t>(shard) << kShardShift;
    const uint32_t last = first + ((uint32_t{1} << kShardShift) - 1);
    const Part& part = part_at(first);
    const Entry* entries = part.entries();
    uint32_t at = home_in(part, first);
    uint32_t sure = home_in(part, last) - at;  // entries that may be among gaps
    for (uint32_t i = 0; i < part.size; i++, at = after(part, at)) {
        if (entries[at].slot == kNone) {
            if (i > sure) return;
            continue;
        }
        if (shard_of(entries[at].hash) == shard) slots.push_back(entries[at].slot);
    }
}

}  // namespace anomaly
