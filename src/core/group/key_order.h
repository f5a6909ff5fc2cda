// The order in which a commit writes the rows of its groups: that of the key's index, about. Rows
// that are neighbours in the index come one after the other, while its page is at hand, and not all
// over an index that no cache may hold. One thread.
//
// Keys are compared as bytes that sort as their values do: of each column whether it is NULL, then
// a number's eight bytes, or the first bytes of a text and a zero. Collations are too slow to
// compare by.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/data/bytes.h"
#include "core/group/group_rows.h"
#include "core/spec.h"

namespace anomaly {

class KeyOrder {
  public:
    // types: of the keys. columns: of the index, each the number of a key or kWindowColumn. Without
    // any, slots stay as they are.
    KeyOrder(std::vector<Type> types, std::vector<int32_t> columns);

    void sort(const GroupRows& rows, std::vector<uint32_t>& slots);

  private:
    // A group with the twelve bytes of its key that are compared just now. There may be millions.
    struct Entry {
        uint64_t first;
        uint32_t second;
        uint32_t slot;
    };
    static constexpr size_t kEntryBytes = sizeof(uint64_t) + sizeof(uint32_t);
    // Entries whose keys are the same up to a byte.
    struct Run {
        size_t begin;
        size_t end;
        size_t same_bytes;
    };

    void sort_run(const GroupRows& rows, const Run& run);
    size_t common_bytes(const GroupRows& rows, std::span<const Entry> entries, size_t from);
    std::string_view encode(const GroupRows& rows, uint32_t slot);
    [[gnu::always_inline]] static void prefetch_ahead(const GroupRows& rows,
                                                      std::span<const Entry> entries, size_t at) {
        const size_t ahead = at + GroupRows::kRowsAhead;
        if (ahead < entries.size()) rows.prefetch(entries[ahead].slot);
    }
    void put_key(Type type, std::string_view value);

    std::vector<Type> types_;
    std::vector<int32_t> columns_;
    // Scratch; keys of a row: nullptr where NULL.
    std::vector<Entry> entries_;
    std::vector<Run> runs_;
    std::vector<std::string_view> keys_;
    ByteWriter bytes_;
    ByteWriter first_bytes_;
};

}  // namespace anomaly
