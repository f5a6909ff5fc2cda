#include "core/group/group_table.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "core/data/bytes.h"
#include "core/data/word.h"

namespace anomaly {

namespace {

constexpr uint64_t kHashSeed = 0x2545f4914f6cdd1dULL;
constexpr uint64_t kHashFactor = 0x9e3779b97f4a7c15ULL;
constexpr size_t kFirstBlockBytes = 64;
constexpr size_t kBlockBytesMax = 64 * 1024;

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
    for (; rest >= kWordBytes; rest -= kWordBytes, bytes += kWordBytes) {
        state = mix(state, load_word(bytes));
    }
    if (rest > 0) {
        // The bytes of the word that ends here, where there is one: no loop over single ones.
        const bool is_long = compared_key.size() >= kWordBytes;
        state = mix(state, is_long ? load_word(bytes + rest - kWordBytes) >> 8 * (kWordBytes - rest)
                                   : load_part(bytes, rest));
    }
    state *= 0x94d049bb133111ebULL;
    return static_cast<uint32_t>(state >> 32);
}

GroupTable::GroupTable(uint32_t tail_bytes) : tail_bytes_(tail_bytes) {}

uint32_t GroupTable::hash(uint32_t slot) const {
    return hash_of(window_start(slot), key(slot));
}

uint32_t GroupTable::find_or_add(int64_t window_start, std::string_view key, uint32_t hash,
                                 bool* added) {
    uint32_t found =
        index_.find(hash, [&](uint32_t slot) { return is_group(slot, window_start, key); });
    *added = found == kNone;
    if (!*added) return found;
    Window& window = window_at(window_start);
    const char* stored = store_key(window, key);
    uint32_t slot = take_slot();
    index_.add(hash, slot);
    groups_[slot] = {stored, window.number, window.first};
    window.first = slot;
    size_++;
    return slot;
}

GroupTable::Window& GroupTable::window_at(int64_t window_start) {
    auto found = windows_.find(window_start);
    if (found != windows_.end()) return found->second;
    uint32_t number = static_cast<uint32_t>(window_starts_.size());
    if (free_windows_.empty()) {
        window_starts_.push_back(window_start);
    } else {
        number = free_windows_.back();
        free_windows_.pop_back();
        window_starts_[number] = window_start;
    }
    Window& window = windows_[window_start];
    window.number = number;
    return window;
}

const char* GroupTable::store_key(Window& window, std::string_view key) {
    ByteWriter prefix;
    prefix.varint(key.size());
    const size_t wanted = prefix.size() + key.size();
    if (window.blocks.empty() || window.blocks.back().size - window.block_used < wanted) {
        // Grows with what the window has, so that a small window stays small.
        size_t size = std::clamp(window.key_bytes / 2, kFirstBlockBytes, kBlockBytesMax);
        size = std::max(size, wanted);
        window.blocks.push_back({std::make_unique<char[]>(size), size});
        window.block_used = 0;
        window.key_bytes += size;
        key_bytes_ += size;
    }
    char* stored = window.blocks.back().bytes.get() + window.block_used;
    std::memcpy(stored, prefix.view().data(), prefix.size());
    if (!key.empty()) std::memcpy(stored + prefix.size(), key.data(), key.size());
    window.block_used += wanted;
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

void GroupTable::free_window(int64_t window_start) {
    auto found = windows_.find(window_start);
    if (found == windows_.end()) return;
    for (uint32_t slot = found->second.first; slot != kNone;) {
        uint32_t next = groups_[slot].next;
        index_.erase(hash(slot), slot);
        groups_[slot].next = free_slot_;
        free_slot_ = slot;
        size_--;
        slot = next;
    }
    key_bytes_ -= found->second.key_bytes;
    free_windows_.push_back(found->second.number);
    windows_.erase(found);
}

size_t GroupTable::memory_bytes() const {
    constexpr size_t kMapNodeBytes = 48 + sizeof(Window);
    return index_.memory_bytes() + groups_.memory_bytes() + key_bytes_ +
           windows_.size() * kMapNodeBytes + window_starts_.capacity() * sizeof(window_starts_[0]);
}

}  // namespace anomaly
