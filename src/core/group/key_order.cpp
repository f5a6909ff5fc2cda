#include "core/group/key_order.h"

#include <algorithm>

namespace anomaly {

namespace {

constexpr uint64_t kSign = uint64_t{1} << 63;

// Of a text. All of it is looked at again for every few bytes that more of them have in common.
constexpr size_t kTextBytes = 512;

// Numbers without a sign that are in order as their values are.
uint64_t ordered_int(uint64_t cell) {
    return cell ^ kSign;
}

uint64_t ordered_float(uint64_t cell) {
    return (cell & kSign) != 0 ? ~cell : cell | kSign;
}

// Up to a word, the first byte the most significant; what is not there is zero.
uint64_t leading_word(std::string_view bytes) {
    const uint64_t word = bytes.size() >= kWordBytes ? load_word(bytes.data())
                                                     : load_part(bytes.data(), bytes.size());
    return __builtin_bswap64(word);
}

std::string_view from(std::string_view bytes, size_t at) {
    return bytes.substr(std::min(at, bytes.size()));
}

}  // namespace

KeyOrder::KeyOrder(std::vector<Type> types, std::vector<int32_t> columns)
    : types_(std::move(types)), columns_(std::move(columns)) {}

void KeyOrder::sort(const GroupRows& rows, std::vector<uint32_t>& slots) {
    if (columns_.empty()) return;
    entries_.clear();
    entries_.reserve(slots.size());
    for (const uint32_t slot : slots) entries_.push_back({0, 0, slot});
    runs_.push_back({0, entries_.size(), 0});
    while (!runs_.empty()) {
        const Run run = runs_.back();
        runs_.pop_back();
        sort_run(rows, run);
    }
    for (size_t i = 0; i < slots.size(); i++) slots[i] = entries_[i].slot;
    constexpr size_t kMany = 1 << 14;
    if (entries_.capacity() > kMany) entries_ = {};
}

// What all of the run have in common says nothing; by the bytes after that it falls into shorter
// runs, which are left to be sorted.
void KeyOrder::sort_run(const GroupRows& rows, const Run& run) {
    const std::span<Entry> entries(entries_.data() + run.begin, run.end - run.begin);
    if (entries.size() < 2) return;
    const size_t common = std::max(common_bytes(rows, entries, run.same_bytes), run.same_bytes);
    bool goes_on = false;
    for (size_t i = 0; i < entries.size(); i++) {
        prefetch_ahead(rows, entries, i);
        const std::string_view rest = from(encode(rows, entries[i].slot), common);
        entries[i].first = leading_word(rest);
        entries[i].second = static_cast<uint32_t>(leading_word(from(rest, kWordBytes)) >> 32);
        goes_on = goes_on || rest.size() > kEntryBytes;
    }
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
        return a.first != b.first ? a.first < b.first : a.second < b.second;
    });
    for (size_t begin = 0; goes_on && begin < entries.size();) {
        size_t end = begin + 1;
        while (end < entries.size() && entries[end].first == entries[begin].first &&
               entries[end].second == entries[begin].second) {
            end++;
        }
        if (end - begin > 1) {
            runs_.push_back({run.begin + begin, run.begin + end, common + kEntryBytes});
        }
        begin = end;
    }
}

// Of all keys, known to be the same up to `same`.
size_t KeyOrder::common_bytes(const GroupRows& rows, std::span<const Entry> entries, size_t same) {
    first_bytes_.clear();
    first_bytes_.raw(encode(rows, entries.front().slot));
    const std::string_view first = first_bytes_.view();
    size_t common = first.size();
    for (size_t i = 1; i < entries.size() && common > same; i++) {
        prefetch_ahead(rows, entries, i);
        const std::string_view other = encode(rows, entries[i].slot);
        const size_t most = std::min(common, other.size());
        size_t at = std::min(same, most);
        while (at < most && other[at] == first[at]) at++;
        common = at;
    }
    return common;
}

std::string_view KeyOrder::encode(const GroupRows& rows, uint32_t slot) {
    ByteReader in(rows.key(slot));
    keys_.clear();
    for (const Type type : types_) {
        const bool null = in.byte() != 0;
        keys_.push_back(null ? std::string_view()
                             : in.raw(stride(type) == 2 ? in.varint() : kWordBytes));
    }
    bytes_.clear();
    for (const int32_t column : columns_) {
        if (column == kWindowColumn) {
            const uint64_t start = static_cast<uint64_t>(rows.window_start(slot));
            bytes_.fixed64(__builtin_bswap64(ordered_int(start)));
        } else {
            const size_t k = static_cast<size_t>(column);
            put_key(types_[k], keys_[k]);
        }
    }
    return bytes_.view();
}

void KeyOrder::put_key(Type type, std::string_view value) {
    const bool null = value.data() == nullptr;  // comes last
    bytes_.byte(null ? 1 : 0);
    if (null) return;
    if (stride(type) == 2) {
        bytes_.raw(value.substr(0, kTextBytes));
        bytes_.byte(0);
        return;
    }
    const uint64_t cell = load_word(value.data());
    const bool is_float = type == Type::kFloat4 || type == Type::kFloat8;
    bytes_.fixed64(__builtin_bswap64(is_float ? ordered_float(cell) : ordered_int(cell)));
}

}  // namespace anomaly
