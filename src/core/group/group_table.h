// The hash table of groups: (window start, key bytes) to a slot, which stays the same as long as
// the window. Groups are freed a window at a time. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "core/data/word.h"
#include "core/group/group_index.h"
#include "core/group/group_rows.h"

namespace anomaly {

// Both are part of the checkpoint format. A key is hashed once, for however many windows.
uint64_t key_hash(std::string_view compared_key);
uint32_t group_hash(int64_t window_start, uint64_t key_hash);

class GroupTable {
  public:
    // The last tail_bytes of every key are kept but not compared. head_bytes: of each group's row.
    GroupTable(uint32_t tail_bytes, uint32_t head_bytes);

    // The slot of the group, made if there is none (*added).
    uint32_t find_or_add(int64_t window_start, std::string_view key, bool* added) {
        return find_or_add(window_start, key, hash_of(window_start, key), added);
    }
    uint32_t find_or_add(int64_t window_start, std::string_view key, uint32_t hash, bool* added);
    uint32_t hash_of(int64_t window_start, std::string_view key) const {
        return group_hash(window_start, key_hash(key.substr(0, key.size() - tail_bytes_)));
    }
    // find_or_add for many rows together, so that their memory is waited for together: asked of
    // memory ahead, one thing after the other, are the index and the group that is likely meant
    // (-1: there is none).
    [[gnu::always_inline]] void prefetch_entry(uint32_t hash) const {
        __builtin_prefetch(index_.home(hash));
    }
    [[gnu::always_inline]] int64_t likely_slot(uint32_t hash) const {
        uint32_t slot = index_.find(hash, [](uint32_t) { return true; });
        if (slot == GroupIndex::kNone) return -1;
        rows_.prefetch(slot);
        return slot;
    }
    bool is_group(uint32_t slot, int64_t window_start, std::string_view key) const {
        std::string_view stored = rows_.key(slot);
        const size_t compared = key.size() - tail_bytes_;
        return rows_.window_start(slot) == window_start && stored.size() == key.size() &&
               equal_bytes(stored.data(), key.data(), compared);
    }

    // Before groups come in the order of their hashes.
    void expect(uint64_t groups) { index_.expect(groups); }

    const GroupRows& rows() const { return rows_; }
    char* row(uint32_t slot) const { return rows_.at(slot); }
    int64_t window_start(uint32_t slot) const { return rows_.window_start(slot); }
    // Valid until the group's window is freed.
    std::string_view key(uint32_t slot) const { return rows_.key(slot); }
    uint32_t hash(uint32_t slot) const;

    uint32_t size() const { return size_; }
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
    // Into the order in which the groups lie in memory.
    void sort(std::vector<uint32_t>& slots) { rows_.sort(slots); }

    size_t memory_bytes() const;

  private:
    struct Window {
        GroupRows::Region rows;
        uint32_t groups = 0;
    };

    void erase_from_index(const Window& window);
    void make_index_anew();

    uint32_t tail_bytes_;
    GroupIndex index_;
    GroupRows rows_;
    std::map<int64_t, Window> windows_;
    uint32_t size_ = 0;
};

}  // namespace anomaly
