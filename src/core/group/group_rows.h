// The memory of groups: for each a row of bytes, in which the states of its aggregates, its marks
// and its key lie side by side, so that whoever looks at a group waits for one place in memory.
// The rows of a window lie together and are freed together. One thread.
//
// A row: head_bytes that are the caller's, the size of the key as a varint, the key. Rows begin at
// multiples of eight bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/data/large_memory.h"

namespace anomaly {

class GroupRows {
  public:
    // What a row takes beside its head and its key: the key's size, and what is left of its last
    // unit.
    static constexpr uint32_t kMeanRestBytes = 4;
    // Whose memory is asked for while one is looked at, where all of many are.
    static constexpr size_t kRowsAhead = 8;

    // The memory of one window.
    class Region {
        friend class GroupRows;
        std::vector<LargeMemory> blocks;
        std::vector<uint32_t> chunks;  // their numbers; rows are added to the last
        char* rest = nullptr;          // of the last block, not in a chunk yet
        size_t rest_bytes = 0;
        size_t bytes = 0;  // of all blocks
    };

    explicit GroupRows(uint32_t head_bytes) : head_bytes_(head_bytes) {}

    // The slot of a new row, valid as long as the region. The head is the caller's to write.
    uint32_t add(Region& region, int64_t window_start, std::string_view key);
    void free(Region& region);

    // The row; it stays where it is.
    char* at(uint32_t slot) const {
        return chunks_[slot / kChunkUnits].bytes + size_t{slot % kChunkUnits} * kUnitBytes;
    }
    std::string_view key(uint32_t slot) const { return key_of(at(slot)); }
    std::string_view key_of(const char* row) const {
        const char* at = row + head_bytes_;
        size_t size = 0;
        for (int shift = 0;; shift += 7) {
            const uint8_t byte = static_cast<uint8_t>(*at++);
            size |= static_cast<size_t>(byte & 0x7f) << shift;
            if (byte < 0x80) return {at, size};
        }
    }
    int64_t window_start(uint32_t slot) const { return chunks_[slot / kChunkUnits].window_start; }
    // Asks for the memory of a row that is looked at next. Inlined wherever it is called: what does
    // nothing but this is a function without effect to the compiler, and its calls would be left
    // out.
    [[gnu::always_inline]] void prefetch(uint32_t slot) const {
        const char* row = at(slot);
        __builtin_prefetch(row);
        __builtin_prefetch(row + head_bytes_);
    }

    // The same for one that comes a little after slots[at].
    [[gnu::always_inline]] void prefetch_ahead(std::span<const uint32_t> slots, size_t at) const {
        if (at + kRowsAhead < slots.size()) prefetch(slots[at + kRowsAhead]);
    }

    void append_slots(const Region& region, std::vector<uint32_t>& slots) const;
    // Into the order in which the rows lie in memory.
    void sort(std::vector<uint32_t>& slots);

    uint32_t head_bytes() const { return head_bytes_; }
    size_t memory_bytes() const {
        return bytes_ + chunks_.capacity() * sizeof(Chunk) + sorted_.capacity() * sizeof(uint32_t);
    }

  private:
    // A slot is the number of a chunk, and the place in it in units.
    static constexpr size_t kUnitBytes = 8;
    static constexpr uint32_t kChunkUnits = 1 << 13;
    static constexpr size_t kChunkBytes = kChunkUnits * kUnitBytes;
    struct Chunk {
        char* bytes;
        int64_t window_start;
        uint32_t used;  // in units
        uint32_t size;
    };

    void open_chunk(Region& region, int64_t window_start, size_t wanted);
    char* reserve_block(Region& region, size_t size);
    uint32_t take_number();
    size_t units_of(std::string_view key) const;

    uint32_t head_bytes_;
    std::vector<Chunk> chunks_;
    std::vector<uint32_t> free_chunks_;  // numbers
    size_t bytes_ = 0;                   // of all regions
    std::vector<uint32_t> sorted_;       // scratch
};

}  // namespace anomaly
