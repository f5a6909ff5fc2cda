// The hash table of groups: (window start, key bytes) to a dense slot. Groups are freed a window at
// a time; their slots are used again. One thread.
//
// A group takes 16 bytes, its entry in the index, and its key with a length before it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "core/data/slot_array.h"
#include "core/data/word.h"
#include "core/group/group_index.h"

namespace anomaly {

// Part of the checkpoint format.
uint32_t group_hash(int64_t window_start, std::string_view compared_key);

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
    // find_or_add for many rows together, so that their memory is waited for together: asked of
    // memory ahead, one thing after the other, are the index, the group that is likely meant (-1:
    // there is none), its key.
    void prefetch_entry(uint32_t hash) const { __builtin_prefetch(index_.home(hash)); }
    int64_t likely_slot(uint32_t hash) const {
        uint32_t slot = index_.find(hash, [](uint32_t) { return true; });
        if (slot == kNone) return -1;
        prefetch_group(slot);
        return slot;
    }
    void prefetch_group(uint32_t slot) const { __builtin_prefetch(&groups_[slot]); }
    void prefetch_key(uint32_t slot) const { __builtin_prefetch(groups_[slot].key); }
    bool is_group(uint32_t slot, int64_t window_start, std::string_view key) const {
        std::string_view stored = this->key(slot);
        const size_t compared = key.size() - tail_bytes_;
        return this->window_start(slot) == window_start && stored.size() == key.size() &&
               equal_bytes(stored.data(), key.data(), compared);
    }

    // Before groups come in the order of their hashes.
    void expect(uint64_t groups) { index_.expect(groups); }

    int64_t window_start(uint32_t slot) const { return window_starts_[groups_[slot].window]; }
    // Valid until the group's window is freed.
    std::string_view key(uint32_t slot) const {
        const char* at = groups_[slot].key;
        size_t size = 0;
        for (int shift = 0;; shift += 7) {
            const uint8_t byte = static_cast<uint8_t>(*at++);
            size |= static_cast<size_t>(byte & 0x7f) << shift;
            if (byte < 0x80) return {at, size};
        }
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
    void append_slots_of_shard(int32_t shard, std::vector<uint32_t>& slots) const {
        index_.append_slots_of_shard(shard, slots);
    }
    void free_window(int64_t window_start);

    size_t memory_bytes() const;

  private:
    static constexpr uint32_t kNone = GroupIndex::kNone;
    struct Group {
        const char* key;  // its size as a varint, and the bytes
        uint32_t window;  // in window_starts_
        uint32_t next;    // in its window, or in the list of free slots
    };
    struct KeyBlock {
        std::unique_ptr<char[]> bytes;
        size_t size;
    };
    struct Window {
        uint32_t number = 0;  // in window_starts_
        uint32_t first = kNone;
        size_t block_used = 0;  // of the last block
        size_t key_bytes = 0;   // reserved in all blocks
        std::vector<KeyBlock> blocks;
    };

    Window& window_at(int64_t window_start);
    const char* store_key(Window& window, std::string_view key);
    uint32_t take_slot();

    uint32_t tail_bytes_;
    GroupIndex index_;
    SlotArray<Group> groups_;
    std::map<int64_t, Window> windows_;
    std::vector<int64_t> window_starts_;
    std::vector<uint32_t> free_windows_;  // numbers
    uint32_t size_ = 0;
    uint32_t slot_limit_ = 0;
    uint32_t free_slot_ = kNone;
    size_t key_bytes_ = 0;
};

}  // namespace anomaly
