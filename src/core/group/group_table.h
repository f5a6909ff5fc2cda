// The hash table of groups: (window start, key bytes) to a dense slot. Open addressing, 8 bytes an
// entry. Groups are freed a window at a time; their slots are used again. One thread.
//
// Entries lie in the order of their hash's leading bits, so that a hash shard of the checkpoint is
// one run of the index.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "core/data/slot_array.h"

namespace anomaly {

constexpr int32_t kShardCount = 64;

// Part of the checkpoint format: a group must fall into the same shard for ever.
uint32_t group_hash(int64_t window_start, std::string_view compared_key);
constexpr int32_t shard_of(uint32_t hash) {
    return static_cast<int32_t>(hash >> 26);
}

class GroupTable {
  public:
    // The last tail_bytes of every key are kept but not compared.
    explicit GroupTable(uint32_t tail_bytes);

    // The slot of the group, made if there is none (*added).
    uint32_t find_or_add(int64_t window_start, std::string_view key, bool* added) {
        return find_or_add(window_start, key, hash_of(window_start, key), added);
    }
    uint32_t find_or_add(int64_t window_start, std::string_view key, uint32_t hash, bool* added);
    uint32_t hash_of(int64_t window_start, std::string_view key) const {
        return group_hash(window_start, key.substr(0, key.size() - tail_bytes_));
    }
    // What find_or_add will read, asked of memory ahead, one thing after the other: the index, the
    // group that is there, its key.
    void prefetch_entry(uint32_t hash) const { __builtin_prefetch(&index_[home(hash)]); }
    void prefetch_group(uint32_t hash) const {
        uint32_t slot = index_[home(hash)].slot;
        if (slot != kNone) __builtin_prefetch(&groups_[slot]);
    }
    void prefetch_key(uint32_t hash) const {
        uint32_t slot = index_[home(hash)].slot;
        if (slot != kNone) __builtin_prefetch(groups_[slot].key);
    }

    // Makes the index large enough for so many groups. Wanted before groups come in the order of
    // their hashes: an index that grows with them would have all of them at its beginning, and a
    // search would meet most of them.
    void expect(uint64_t groups);

    int64_t window_start(uint32_t slot) const { return groups_[slot].window_start; }
    // Valid until the group's window is freed.
    std::string_view key(uint32_t slot) const {
        return {groups_[slot].key, groups_[slot].compared_size + tail_bytes_};
    }
    uint32_t hash(uint32_t slot) const;

    uint32_t size() const { return size_; }
    uint32_t slot_limit() const { return slot_limit_; }  // all slots are below it
    int64_t window_count() const { return static_cast<int64_t>(windows_.size()); }
    // Only where window_count() > 0.
    int64_t first_window() const { return windows_.begin()->first; }
    int64_t last_window() const { return windows_.rbegin()->first; }

    void append_windows_up_to(int64_t last_start, std::vector<int64_t>& starts) const;
    void append_slots_of_window(int64_t window_start, std::vector<uint32_t>& slots) const;
    void append_slots_of_shard(int32_t shard, std::vector<uint32_t>& slots) const;
    void free_window(int64_t window_start);

    size_t memory_bytes() const;

  private:
    static constexpr uint32_t kNone = UINT32_MAX;
    struct Entry {
        uint32_t hash;
        uint32_t slot;  // kNone: free
    };
    struct Group {
        int64_t window_start;
        const char* key;
        uint32_t compared_size;
        uint32_t next;  // in its window, or in the list of free slots
    };
    struct KeyBlock {
        std::unique_ptr<char[]> bytes;
        size_t size;
    };
    struct Window {
        uint32_t first = kNone;
        size_t block_used = 0;  // of the last block
        size_t key_bytes = 0;   // reserved in all blocks
        std::vector<KeyBlock> blocks;
    };

    uint32_t home(uint32_t hash) const { return hash >> (32 - index_bits_); }
    uint32_t mask() const { return (1U << index_bits_) - 1; }
    std::string_view compared_key(uint32_t slot) const {
        return {groups_[slot].key, groups_[slot].compared_size};
    }
    const char* store_key(Window& window, std::string_view key);
    uint32_t take_slot();
    bool is_crowded(uint64_t groups) const;
    void grow_index();
    void erase_entry(uint32_t slot);

    uint32_t tail_bytes_;
    int index_bits_ = 6;
    std::vector<Entry> index_;
    SlotArray<Group> groups_;
    std::map<int64_t, Window> windows_;
    uint32_t size_ = 0;
    uint32_t slot_limit_ = 0;
    uint32_t free_slot_ = kNone;
    size_t key_bytes_ = 0;
};

}  // namespace anomaly
