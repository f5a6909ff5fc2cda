#include "core/group/group_rows.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace anomaly {

namespace {

constexpr size_t kFirstBlockBytes = 256;
constexpr size_t kBlockBytesMax = LargeMemory::kHugePageBytes;

size_t varint_bytes(size_t value) {
    size_t bytes = 1;
    for (; value >= 0x80; value >>= 7) bytes++;
    return bytes;
}

char* put_varint(char* to, size_t value) {
    for (; value >= 0x80; value >>= 7) *to++ = static_cast<char>(value | 0x80);
    *to++ = static_cast<char>(value);
    return to;
}

}  // namespace

size_t GroupRows::units_of(std::string_view key) const {
    const size_t bytes = head_bytes_ + varint_bytes(key.size()) + key.size();
    return (bytes + kUnitBytes - 1) / kUnitBytes;
}

uint32_t GroupRows::add(Region& region, int64_t window_start, std::string_view key) {
    const size_t units = units_of(key);
    if (region.chunks.empty() ||
        chunks_[region.chunks.back()].size - chunks_[region.chunks.back()].used < units) {
        open_chunk(region, window_start, units * kUnitBytes);
    }
    const uint32_t number = region.chunks.back();
    Chunk& chunk = chunks_[number];
    const uint32_t slot = number * kChunkUnits + chunk.used;
    chunk.used += static_cast<uint32_t>(units);
    char* to = put_varint(at(slot) + head_bytes_, key.size());
    if (!key.empty()) std::memcpy(to, key.data(), key.size());
    return slot;
}

// Blocks grow with what the window has, so that a small window stays small, and are cut into
// chunks. A row too large for a chunk has a block of its own, which is one.
void GroupRows::open_chunk(Region& region, int64_t window_start, size_t wanted) {
    const uint32_t number = take_number();
    region.chunks.push_back(number);
    size_t size = std::max(wanted, std::min(region.rest_bytes, kChunkBytes));
    char* bytes = region.rest;
    if (region.rest_bytes >= size) {
        region.rest += size;
        region.rest_bytes -= size;
    } else if (wanted > kChunkBytes) {
        bytes = reserve_block(region, wanted);
    } else {
        size_t block = std::clamp(region.bytes / 2, kFirstBlockBytes, kBlockBytesMax);
        block = std::max(block > kChunkBytes ? block / kChunkBytes * kChunkBytes : block, wanted);
        bytes = reserve_block(region, block);
        size = std::min(block, kChunkBytes);
        region.rest = bytes + size;
        region.rest_bytes = block - size;
    }
    chunks_[number] = {bytes, window_start, 0, static_cast<uint32_t>(size / kUnitBytes)};
}

char* GroupRows::reserve_block(Region& region, size_t size) {
    region.blocks.emplace_back(size);
    region.bytes += size;
    bytes_ += size;
    return region.blocks.back().data();
}

uint32_t GroupRows::take_number() {
    if (!free_chunks_.empty()) {
        const uint32_t number = free_chunks_.back();
        free_chunks_.pop_back();
        return number;
    }
    if (chunks_.size() >= UINT32_MAX / kChunkUnits) throw std::bad_alloc();
    chunks_.push_back({});
    return static_cast<uint32_t>(chunks_.size()) - 1;
}

void GroupRows::free(Region& region) {
    free_chunks_.insert(free_chunks_.end(), region.chunks.begin(), region.chunks.end());
    bytes_ -= region.bytes;
    region = {};
}

void GroupRows::append_slots(const Region& region, std::vector<uint32_t>& slots) const {
    for (const uint32_t number : region.chunks) {
        for (uint32_t used = 0; used < chunks_[number].used;) {
            const uint32_t slot = number * kChunkUnits + used;
            slots.push_back(slot);
            used += static_cast<uint32_t>(units_of(key(slot)));
        }
    }
}

namespace {

// Stable, by digit(slot) below `digits`: where in the result the next of each digit goes.
template <class Digit>
void sort_by(const std::vector<uint32_t>& slots, size_t digits, Digit digit,
             std::vector<uint32_t>& sorted) {
    std::vector<uint32_t> next(digits + 1);
    for (const uint32_t slot : slots) next[digit(slot) + 1]++;
    for (size_t d = 1; d < next.size(); d++) next[d] += next[d - 1];
    sorted.resize(slots.size());
    for (const uint32_t slot : slots) sorted[next[digit(slot)]++] = slot;
}

}  // namespace

void GroupRows::sort(std::vector<uint32_t>& slots) {
    constexpr size_t kFew = 1 << 12;
    constexpr size_t kMany = 1 << 20;
    if (slots.size() < std::max(kFew, chunks_.size())) {
        std::sort(slots.begin(), slots.end());
        return;
    }
    sort_by(
        slots, kChunkUnits, [](uint32_t slot) { return slot % kChunkUnits; }, sorted_);
    sort_by(
        sorted_, chunks_.size(), [](uint32_t slot) { return slot / kChunkUnits; }, slots);
    if (sorted_.capacity() > kMany) sorted_ = {};
}

}  // namespace anomaly
