#include "core/group/group_table.h"

#include "core/data/word.h"

namespace anomaly {

namespace {

constexpr uint64_t kHashSeed = 0x2545f4914f6cdd1dULL;
constexpr uint64_t kHashFactor = 0x9e3779b97f4a7c15ULL;

// For every word a bijection of the state: no input can make it forget what came before.
uint64_t mix(uint64_t state, uint64_t word) {
    state = (state ^ word) * kHashFactor;
    state ^= state >> 29;
    state *= 0xbf58476d1ce4e5b9ULL;
    return state ^ (state >> 32);
}

}  // namespace

uint64_t key_hash(std::string_view compared_key) {
    uint64_t state = kHashSeed ^ compared_key.size();
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
    return state;
}

uint32_t group_hash(int64_t window_start, uint64_t key_hash) {
    const uint64_t state =
        mix(key_hash, static_cast<uint64_t>(window_start)) * 0x94d049bb133111ebULL;
    return static_cast<uint32_t>(state >> 32);
}

GroupTable::GroupTable(uint32_t tail_bytes, uint32_t head_bytes)
    : tail_bytes_(tail_bytes), rows_(head_bytes) {}

uint32_t GroupTable::hash(uint32_t slot) const {
    return hash_of(window_start(slot), key(slot));
}

uint32_t GroupTable::find_or_add(int64_t window_start, std::string_view key, uint32_t hash,
                                 bool* added) {
    uint32_t found =
        index_.find(hash, [&](uint32_t slot) { return is_group(slot, window_start, key); });
    *added = found == GroupIndex::kNone;
    if (!*added) return found;
    Window& window = windows_[window_start];
    uint32_t slot = rows_.add(window.rows, window_start, key);
    index_.add(hash, slot);
    window.groups++;
    size_++;
    return slot;
}

void GroupTable::append_windows_up_to(int64_t last_start, std::vector<int64_t>& starts) const {
    for (auto w = windows_.begin(); w != windows_.end() && w->first <= last_start; ++w) {
        starts.push_back(w->first);
    }
}

void GroupTable::append_slots_of_window(int64_t window_start, std::vector<uint32_t>& slots) const {
    auto found = windows_.find(window_start);
    if (found == windows_.end()) return;
    slots.reserve(slots.size() + found->second.groups);
    rows_.append_slots(found->second.rows, slots);
}

// Where most groups go, what is left is a shorter way, and the index shrinks.
void GroupTable::free_window(int64_t window_start) {
    auto found = windows_.find(window_start);
    if (found == windows_.end()) return;
    Window& window = found->second;
    const bool most = window.groups > size_ / 2;
    if (!most) erase_from_index(window);
    size_ -= window.groups;
    rows_.free(window.rows);
    windows_.erase(found);
    if (most || index_.is_sparse(size_)) make_index_anew();
}

void GroupTable::erase_from_index(const Window& window) {
    std::vector<uint32_t> slots;
    rows_.append_slots(window.rows, slots);
    for (uint32_t slot : slots) index_.erase(hash(slot), slot);
}

void GroupTable::make_index_anew() {
    index_ = GroupIndex();
    index_.expect(size_);
    std::vector<uint32_t> slots;
    for (const auto& [start, window] : windows_) {
        slots.clear();
        rows_.append_slots(window.rows, slots);
        for (uint32_t slot : slots) index_.add(hash(slot), slot);
    }
}

size_t GroupTable::memory_bytes() const {
    constexpr size_t kMapNodeBytes = 48 + sizeof(Window);
    return index_.memory_bytes() + rows_.memory_bytes() + windows_.size() * kMapNodeBytes;
}

}  // namespace anomaly
