#include "core/group/group_table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

namespace anomaly {

namespace {

constexpr uint64_t kHashSeed = 0x2545f4914f6cdd1dULL;
constexpr uint64_t kHashFactor = 0x9e3779b97f4a7c15ULL;
constexpr size_t kFirstBlockBytes = 64;
constexpr size_t kBlockBytesMax = 64 * 1024;

uint64_t load_little_endian(const char* bytes, size_t size) {
    uint64_t word = 0;
    for (size_t i = size; i > 0; i--) word = word << 8 | static_cast<uint8_t>(bytes[i - 1]);
    return word;
}

uint64_t load_word(const char* bytes) {
    if constexpr (std::endian::native != std::endian::little) return load_little_endian(bytes, 8);
    uint64_t word;
    std::memcpy(&word, bytes, sizeof word);
    return word;
}

// For every word a bijection of the state: no input can make it forget what came before.
uint64_t mix(uint64_t state, uint64_t word) {
    state = (state ^ word) * kHashFactor;
    state ^= state >> 29;
    state *= 0xbf58476d1ce4e5b9ULL;
    return state ^ (state >> 32);
}

}  // namespace

uint32_t group_hash(int64_t window_start, std::string_view compared_key) {
    uint64_t state = mix(kHashSeed ^ compared_key.size(), static_cast<uint64_t>(window_start));
    const char* bytes = compared_key.data();
    size_t rest = compared_key.size();
    for (; rest >= 8; rest -= 8, bytes += 8) state = mix(state, load_word(bytes));
    if (rest > 0) state = mix(state, load_little_endian(bytes, rest));
    state *= 0x94d049bb133111ebULL;
    return static_cast<uint32_t>(state >> 32);
}

GroupTable::GroupTable(uint32_t tail_bytes) : tail_bytes_(tail_bytes) {
    index_.assign(size_t{1} << index_bits_, Entry{0, kNone});
}

uint32_t GroupTable::hash(uint32_t slot) const {
    return group_hash(groups_[slot].window_start, compared_key(slot));
}

uint32_t GroupTable::find_or_add(int64_t window_start, std::string_view key, uint32_t hash,
                                 bool* added) {
    std::string_view compared = key.substr(0, key.size() - tail_bytes_);
    uint32_t at = home(hash);
    for (; index_[at].slot != kNone; at = (at + 1) & mask()) {
        if (index_[at].hash != hash) continue;
        uint32_t slot = index_[at].slot;
        if (groups_[slot].window_start == window_start && compared_key(slot) == compared) {
            *added = false;
            return slot;
        }
    }
    *added = true;
    if (is_crowded(size_ + uint64_t{1})) {
        grow_index();
        for (at = home(hash); index_[at].slot != kNone;) at = (at + 1) & mask();
    }
    Window& window = windows_[window_start];
    const char* stored = store_key(window, key);
    uint32_t slot = take_slot();
    groups_[slot] = {window_start, stored, static_cast<uint32_t>(compared.size()), window.first};
    window.first = slot;
    index_[at] = {hash, slot};
    size_++;
    return slot;
}

const char* GroupTable::store_key(Window& window, std::string_view key) {
    if (window.blocks.empty() || window.blocks.back().size - window.block_used < key.size()) {
        // Grows with what the window has, so that a small window stays small.
        size_t size = std::clamp(window.key_bytes / 2, kFirstBlockBytes, kBlockBytesMax);
        size = std::max(size, key.size());
        window.blocks.push_back({std::make_unique<char[]>(size), size});
        window.block_used = 0;
        window.key_bytes += size;
        key_bytes_ += size;
    }
    char* stored = window.blocks.back().bytes.get() + window.block_used;
    if (!key.empty()) std::memcpy(stored, key.data(), key.size());
    window.block_used += key.size();
    return stored;
}

uint32_t GroupTable::take_slot() {
    if (free_slot_ != kNone) {
        uint32_t slot = free_slot_;
        free_slot_ = groups_[slot].next;
        return slot;
    }
    if (slot_limit_ == kNone) throw std::bad_alloc();
    groups_.resize(slot_limit_ + 1);
    return slot_limit_++;
}

bool GroupTable::is_crowded(uint64_t groups) const {
    return groups * 5 > index_.size() * uint64_t{4};
}

void GroupTable::expect(uint64_t groups) {
    while (is_crowded(groups)) grow_index();
}

void GroupTable::grow_index() {
    if (index_bits_ == 31) throw std::bad_alloc();
    std::vector<Entry> old(index_.size() * 2, Entry{0, kNone});
    old.swap(index_);
    index_bits_++;
    for (const Entry& entry : old) {
        if (entry.slot == kNone) continue;
        uint32_t at = home(entry.hash);
        while (index_[at].slot != kNone) at = (at + 1) & mask();
        index_[at] = entry;
    }
}

// Moves the entries after it back, so that no search ever meets a gap or a tombstone.
void GroupTable::erase_entry(uint32_t slot) {
    uint32_t at = home(hash(slot));
    while (index_[at].slot != slot) at = (at + 1) & mask();
    for (uint32_t next = (at + 1) & mask(); index_[next].slot != kNone;
         next = (next + 1) & mask()) {
        uint32_t distance = (next - home(index_[next].hash)) & mask();
        if (distance < ((next - at) & mask())) continue;
        index_[at] = index_[next];
        at = next;
    }
    index_[at].slot = kNone;
}

void GroupTable::append_windows_up_to(int64_t last_start, std::vector<int64_t>& starts) const {
    for (auto w = windows_.begin(); w != windows_.end() && w->first <= last_start; ++w) {
        starts.push_back(w->first);
    }
}

void GroupTable::append_slots_of_window(int64_t window_start, std::vector<uint32_t>& slots) const {
    auto found = windows_.find(window_start);
    if (found == windows_.end()) return;
    for (uint32_t s = found->second.first; s != kNone; s = groups_[s].next) slots.push_back(s);
}

void GroupTable::append_slots_of_shard(int32_t shard, std::vector<uint32_t>& slots) const {
    uint32_t entries = static_cast<uint32_t>(index_.size()) / kShardCount;
    uint32_t at = entries * static_cast<uint32_t>(shard);
    // Entries of the shard begin at its part of the index, and may spill over its end.
    for (uint32_t i = 0; i < index_.size(); i++, at = (at + 1) & mask()) {
        const Entry& entry = index_[at];
        if (entry.slot == kNone) {
            if (i >= entries) return;
        } else if (shard_of(entry.hash) == shard) {
            slots.push_back(entry.slot);
        }
    }
}

void GroupTable::free_window(int64_t window_start) {
    auto found = windows_.find(window_start);
    if (found == windows_.end()) return;
    for (uint32_t slot = found->second.first; slot != kNone;) {
        uint32_t next = groups_[slot].next;
        erase_entry(slot);
        groups_[slot].next = free_slot_;
        free_slot_ = slot;
        size_--;
        slot = next;
    }
    key_bytes_ -= found->second.key_bytes;
    windows_.erase(found);
}

size_t GroupTable::memory_bytes() const {
    constexpr size_t kMapNodeBytes = 48 + sizeof(Window);
    return index_.capacity() * sizeof(Entry) + groups_.memory_bytes() + key_bytes_ +
           windows_.size() * kMapNodeBytes;
}

}  // namespace anomaly
