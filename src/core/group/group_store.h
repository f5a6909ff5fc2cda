// The groups of one table with the states of their aggregates, and what changed since the last
// commit. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/data/bytes.h"
#include "core/group/aggregate.h"
#include "core/group/encoded_keys.h"
#include "core/group/group_key.h"
#include "core/group/group_table.h"

namespace anomaly {

class GroupStore {
  public:
    GroupStore(std::vector<Type> key_types, std::vector<std::unique_ptr<Aggregate>> aggregates);
    ~GroupStore();
    GroupStore(const GroupStore&) = delete;
    GroupStore& operator=(const GroupStore&) = delete;

    // The slot of a group, made if there is none; marks it changed.
    uint32_t touch(int64_t window_start, const std::vector<const Column*>& keys, int32_t row);
    // The same for the groups (window_starts[i], key of rows[i]); their rows are appended to
    // groups.
    void touch_all(std::span<const int64_t> window_starts, std::span<const int32_t> rows,
                   EncodedKeys& keys, std::vector<char*>& groups);
    Aggregate& aggregate(size_t i) { return *aggregates_[i]; }
    const Aggregate& aggregate(size_t i) const { return *aggregates_[i]; }

    const GroupTable& groups() const { return groups_; }
    const std::vector<uint32_t>& changed() const { return changed_; }
    // Puts slots into the order in which their memory lies.
    void sort_slots(std::vector<uint32_t>& slots) { groups_.sort(slots); }
    void sort_changed() { sort_slots(changed_); }
    bool is_changed(uint32_t slot) const { return (mark(row(slot)) & kChanged) != 0; }
    // A commit wrote a row of the group.
    bool is_written(uint32_t slot) const { return (mark(row(slot)) & kWritten) != 0; }
    void set_written(uint32_t slot) { mark(row(slot)) |= kWritten; }
    void clear_changed();
    // Their changed marks must have been cleared.
    void free_window(int64_t window_start);

    // Columns of the groups in the order of slots; failed: 1 where an aggregate has no result.
    // Texts point into the keys, valid until the group's window is freed.
    void columns(std::span<const uint32_t> slots, std::vector<Column>& keys,
                 std::vector<Column>& aggregates, std::vector<uint8_t>& failed) const;

    // Of all groups in a shard.
    void keys_of_shard(int32_t shard, std::vector<Column>& keys) const;

    // Tells a checkpoint of other keys or aggregates from one of ours.
    void write_shape(ByteWriter& out) const;
    bool read_shape(ByteReader& in) const;
    // Groups, each complete, or what the next clear_changed settles of them.
    enum class Extent : uint8_t { kWhole, kChange };
    struct Cursor {
        std::span<const uint32_t> slots;
        Extent extent = Extent::kWhole;
        size_t at = 0;
        int64_t window_before = 0;
    };
    // Writes on until `out` has more than so many bytes, or there is no group left.
    void write_groups(Cursor& cursor, size_t bytes, ByteWriter& out);
    // Takes in a number of groups, over what there is: those that accept(window_start, shard)
    // wants. False: the bytes are not what write_groups makes.
    template <class Accept>
    bool read_groups(ByteReader& in, Extent extent, Accept accept);

    // Before groups of one shard after the other are read.
    void expect(uint64_t groups) { groups_.expect(groups); }

    size_t memory_bytes() const;
    uint32_t bytes_per_group() const;  // states and marks, without the key and the index

  private:
    enum Mark : uint8_t { kChanged = 1, kWritten = 2 };

    // Rows whose groups are looked for together, so that their memory is waited for together.
    static constexpr size_t kTogether = 32;
    struct Wanted {
        const EncodedKeys::Key* key;
        uint32_t hash;
        int64_t likely;  // slot, -1: none
    };
    void find_together(std::span<const int64_t> window_starts, std::span<const int32_t> rows,
                       EncodedKeys& keys, std::vector<char*>& groups);
    uint32_t find_or_add(int64_t window_start, std::string_view key, uint32_t hash);
    char* row(uint32_t slot) const { return groups_.row(slot); }
    uint8_t& mark(char* group) const {
        return reinterpret_cast<uint8_t&>(group[groups_.rows().head_bytes() - 1]);
    }
    void mark_changed(uint32_t slot, char* group);
    void write_group(uint32_t slot, int64_t window_before, Extent extent, ByteWriter& out);
    bool read_group(int64_t window_start, uint8_t written, std::string_view key,
                    std::string_view state, Extent extent);
    int32_t shard_of_key(int64_t window_start, std::string_view key) const;

    GroupKeyCodec codec_;
    std::vector<std::unique_ptr<Aggregate>> aggregates_;
    GroupTable groups_;
    bool owns_memory_ = false;  // an aggregate
    std::vector<uint32_t> changed_;
    ByteWriter scratch_;
};

template <class Accept>
bool GroupStore::read_groups(ByteReader& in, Extent extent, Accept accept) {
    uint64_t count = in.varint();
    int64_t window = 0;
    for (uint64_t i = 0; i < count; i++) {
        window = static_cast<int64_t>(static_cast<uint64_t>(window) +
                                      static_cast<uint64_t>(in.zigzag()));
        uint8_t written = in.byte();
        std::string_view key = in.sized();
        std::string_view state = in.sized();
        if (!in.ok() || !codec_.valid(key)) return false;
        if (!accept(window, shard_of_key(window, key))) continue;
        if (!read_group(window, written, key, state, extent)) return false;
    }
    return in.ok();
}

}  // namespace anomaly
