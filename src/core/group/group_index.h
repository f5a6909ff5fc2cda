// Finds groups by hash: for each half of the hashes a table of its own with open addressing, 8
// bytes an entry, that grows by a quarter at a time. So no growth needs twice the memory, or much
// time. What a slot means is the owner's affair. One thread.
//
// Entries lie in the order of their hashes' leading bits, so that growing is one pass, and those of
// a shard lie together.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/data/large_memory.h"

namespace anomaly {

constexpr int32_t kShardCount = 64;

// Part of the checkpoint format: a group must fall into the same shard for ever.
constexpr int kShardShift = 26;
constexpr int32_t shard_of(uint32_t hash) {
    return static_cast<int32_t>(hash >> kShardShift);
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
        const Part& part = part_at(hash);
        return &part.entries()[home_in(part, hash)];
    }
    // The slot with this hash of which is_it(slot) says that it is the one, kNone: there is none.
    template <class IsIt>
    uint32_t find(uint32_t hash, IsIt is_it) const {
        const Part& part = part_at(hash);
        const Entry* entries = part.entries();
        for (uint32_t at = home_in(part, hash);; at = after(part, at)) {
            const Entry& entry = entries[at];
            if (entry.slot == kNone) return kNone;
            if (entry.hash == hash && is_it(entry.slot)) return entry.slot;
        }
    }
    void add(uint32_t hash, uint32_t slot);
    void erase(uint32_t hash, uint32_t slot);

    // Makes room for so many. Wanted before they come in the order of their hashes: an index that
    // grows with them would have all of them at its beginning, and a search would meet most.
    void expect(uint64_t groups);

    // Most of its memory is for groups that are gone, of which so many are left.
    bool is_sparse(uint64_t groups) const {
        constexpr size_t kWorthIt = 1 << 12;
        return entries_ > kWorthIt && groups < entries_ / 8;
    }

    void append_slots_of_shard(int32_t shard, std::vector<uint32_t>& slots) const;
    size_t memory_bytes() const { return entries_ * sizeof(Entry); }

  private:
    static constexpr int kPartBits = 1;
    struct Part {
        LargeMemory memory;
        uint32_t size = 0;
        uint32_t used = 0;
        Entry* entries() const { return reinterpret_cast<Entry*>(memory.data()); }
    };

    static size_t part_of(uint32_t hash) { return hash >> (32 - kPartBits); }
    const Part& part_at(uint32_t hash) const { return parts_[part_of(hash)]; }
    static uint32_t home_in(const Part& part, uint32_t hash) {
        return static_cast<uint32_t>(uint64_t{hash << kPartBits} * part.size >> 32);
    }
    static uint32_t after(const Part& part, uint32_t at) {
        return at + 1 == part.size ? 0 : at + 1;
    }
    static bool is_crowded(uint64_t used, uint32_t size) { return used * 5 > uint64_t{size} * 4; }
    static void put(Part& part, const Entry& entry);
    void resize(Part& part, uint64_t size);

    std::array<Part, size_t{1} << kPartBits> parts_;
    size_t entries_ = 0;  // of all parts
};

}  // namespace anomaly
