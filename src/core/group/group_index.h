// Finds groups by hash: for each hash shard a table of its own with open addressing, 8 bytes an
// entry, that grows by a quarter at a time. So no growth needs twice the memory, or much time. What
// a slot means is the owner's affair. One thread.
//
// Entries lie in the order of their hashes' leading bits, so that growing is one pass.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace anomaly {

constexpr int32_t kShardCount = 64;

// Part of the checkpoint format: a group must fall into the same shard for ever.
constexpr int32_t shard_of(uint32_t hash) {
    return static_cast<int32_t>(hash >> 26);
}

class GroupIndex {
  public:
    static constexpr uint32_t kNone = UINT32_MAX;
    struct Entry {
        uint32_t hash;
        uint32_t slot;  // kNone: free
    };

    GroupIndex();

    // Where a search for the hash begins.
    const Entry* home(uint32_t hash) const {
        const Shard& shard = shard_at(hash);
        return &shard.entries[home_in(shard, hash)];
    }
    // The slot with this hash of which is_it(slot) says that it is the one, kNone: there is none.
    template <class IsIt>
    uint32_t find(uint32_t hash, IsIt is_it) const {
        const Shard& shard = shard_at(hash);
        for (uint32_t at = home_in(shard, hash);; at = after(shard, at)) {
            const Entry& entry = shard.entries[at];
            if (entry.slot == kNone) return kNone;
            if (entry.hash == hash && is_it(entry.slot)) return entry.slot;
        }
    }
    void add(uint32_t hash, uint32_t slot);
    void erase(uint32_t hash, uint32_t slot);

    // Makes room for so many. Wanted before they come in the order of their hashes: an index that
    // grows with them would have all of them at its beginning, and a search would meet most.
    void expect(uint64_t groups);

    void append_slots_of_shard(int32_t shard, std::vector<uint32_t>& slots) const;
    size_t memory_bytes() const { return entries_ * sizeof(Entry); }

  private:
    struct Shard {
        std::unique_ptr<Entry[]> entries;
        uint32_t size = 0;
        uint32_t used = 0;
    };

    const Shard& shard_at(uint32_t hash) const {
        return shards_[static_cast<size_t>(shard_of(hash))];
    }
    static uint32_t home_in(const Shard& shard, uint32_t hash) {
        return static_cast<uint32_t>(uint64_t{hash << 6} * shard.size >> 32);
    }
    static uint32_t after(const Shard& shard, uint32_t at) {
        return at + 1 == shard.size ? 0 : at + 1;
    }
    static bool is_crowded(uint64_t used, uint32_t size) { return used * 5 > uint64_t{size} * 4; }
    static void put(Shard& shard, const Entry& entry);
    void resize(Shard& shard, uint64_t size);

    std::array<Shard, kShardCount> shards_;
    size_t entries_ = 0;  // of all shards
};

}  // namespace anomaly
