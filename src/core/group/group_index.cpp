#include "core/group/group_index.h"

#include <algorithm>
#include <new>

namespace anomaly {

GroupIndex::GroupIndex() {
    constexpr uint64_t kFirstSize = 4;
    for (Shard& shard : shards_) resize(shard, kFirstSize);
}

void GroupIndex::put(Shard& shard, const Entry& entry) {
    uint32_t at = home_in(shard, entry.hash);
    while (shard.entries[at].slot != kNone) at = after(shard, at);
    shard.entries[at] = entry;
}

void GroupIndex::add(uint32_t hash, uint32_t slot) {
    Shard& shard = shards_[static_cast<size_t>(shard_of(hash))];
    if (is_crowded(shard.used + uint64_t{1}, shard.size)) {
        constexpr uint32_t kLeastGrowth = 4;
        resize(shard, uint64_t{shard.size} + std::max(shard.size / 4, kLeastGrowth));
    }
    put(shard, {hash, slot});
    shard.used++;
}

void GroupIndex::resize(Shard& shard, uint64_t size) {
    if (size > UINT32_MAX / 2) throw std::bad_alloc();
    const uint32_t old_size = shard.size;
    // Not make_unique: it would clear the entries first.
    std::unique_ptr<Entry[]> old(new Entry[size]);
    old.swap(shard.entries);
    shard.size = static_cast<uint32_t>(size);
    std::fill_n(shard.entries.get(), size, Entry{0, kNone});
    for (uint32_t i = 0; i < old_size; i++) {
        if (old[i].slot != kNone) put(shard, old[i]);
    }
    entries_ += size - old_size;
}

void GroupIndex::expect(uint64_t groups) {
    uint64_t share = groups / kShardCount;
    for (Shard& shard : shards_) {
        if (is_crowded(share, shard.size)) resize(shard, share + share / 4 + 1);
    }
}

// Moves the entries after it back, so that no search ever meets a gap or a tombstone.
void GroupIndex::erase(uint32_t hash, uint32_t slot) {
    Shard& shard = shards_[static_cast<size_t>(shard_of(hash))];
    Entry* entries = shard.entries.get();
    auto distance = [&](uint32_t from, uint32_t to) {
        return to >= from ? to - from : to + shard.size - from;
    };
    uint32_t at = home_in(shard, hash);
    while (entries[at].slot != slot) at = after(shard, at);
    for (uint32_t next = after(shard, at); entries[next].slot != kNone; next = after(shard, next)) {
        if (distance(home_in(shard, entries[next].hash), next) < distance(at, next)) continue;
        entries[at] = entries[next];
        at = next;
    }
    entries[at].slot = kNone;
    shard.used--;
}

void GroupIndex::append_slots_of_shard(int32_t shard, std::vector<uint32_t>& slots) const {
    const Shard& wanted = shards_[static_cast<size_t>(shard)];
    for (uint32_t i = 0; i < wanted.size; i++) {
        if (wanted.entries[i].slot != kNone) slots.push_back(wanted.entries[i].slot);
    }
}

}  // namespace anomaly
