#include "core/group/kept_values.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <new>
#include <vector>

#include "core/data/column_copy.h"

namespace anomaly {

namespace {

// Bytes that grow. Small: a group has two of them.
class Bytes {
  public:
    std::string_view view() const { return {data_.get(), size_}; }
    std::string_view from(uint32_t at) const { return view().substr(at); }
    uint32_t size() const { return size_; }
    size_t memory_bytes() const { return capacity_; }
    void append(std::string_view more) {
        if (more.size() > UINT32_MAX / 2 - size_) throw std::bad_alloc();
        uint32_t needed = size_ + static_cast<uint32_t>(more.size());
        if (needed > capacity_) grow(needed);
        if (!more.empty()) std::memcpy(data_.get() + size_, more.data(), more.size());
        size_ = needed;
    }
    void free() { *this = {}; }

  private:
    void grow(uint32_t needed) {
        uint32_t capacity = std::max(needed, capacity_ + capacity_ / 2);
        std::unique_ptr<char[]> larger(new char[capacity]);
        if (size_ > 0) std::memcpy(larger.get(), data_.get(), size_);
        data_ = std::move(larger);
        capacity_ = capacity;
    }
    std::unique_ptr<char[]> data_;
    uint32_t size_ = 0;
    uint32_t capacity_ = 0;
};

struct Entry {
    std::string_view value;  // with its size before it, as it is stored
    bool null;
};

Entry read_entry(ByteReader& in, std::string_view all) {
    in.varint();
    in.varint();
    size_t begin = all.size() - in.rest().size();
    uint64_t size = in.varint();
    if (size > 0) in.raw(size - 1);
    size_t end = all.size() - in.rest().size();
    return {all.substr(begin, end - begin), size == 0};
}

// Places of entries by their values. Open addressing; kFree is no place.
class ValueIndex {
  public:
    // False: it is there already; else `at` is its place from now on.
    bool add(std::string_view entries, std::string_view value, uint32_t at) {
        if ((size_ + 1) * uint64_t{4} > places_.size() * uint64_t{3}) grow(entries);
        size_t i = find(entries, value);
        if (places_[i] != kFree) return false;
        places_[i] = at;
        size_++;
        return true;
    }
    uint32_t size() const { return size_; }
    size_t memory_bytes() const { return places_.capacity() * sizeof(uint32_t); }

  private:
    static constexpr uint32_t kFree = UINT32_MAX;

    static std::string_view value_at(std::string_view entries, uint32_t at) {
        ByteReader in(entries.substr(at));
        return read_entry(in, entries.substr(at)).value;
    }
    size_t find(std::string_view entries, std::string_view value) const {
        size_t i = std::hash<std::string_view>()(value) & (places_.size() - 1);
        while (places_[i] != kFree && value_at(entries, places_[i]) != value) {
            i = (i + 1) & (places_.size() - 1);
        }
        return i;
    }
    void grow(std::string_view entries) {
        std::vector<uint32_t> before(std::max<size_t>(places_.size() * 2, 4), kFree);
        before.swap(places_);
        for (uint32_t at : before) {
            if (at != kFree) places_[find(entries, value_at(entries, at))] = at;
        }
    }
    std::vector<uint32_t> places_;
    uint32_t size_ = 0;
};

struct Kept {
    Bytes entries;
    uint32_t settled = 0;  // so many bytes of the entries are in the checkpoint log
    Bytes state;           // of an aggregate that folds
    std::unique_ptr<ValueIndex> index;

    size_t memory_bytes() const {
        size_t bytes = entries.memory_bytes() + state.memory_bytes();
        return index ? bytes + sizeof(ValueIndex) + index->memory_bytes() : bytes;
    }
};

class KeptValues final : public AggregateOf<Kept> {
  public:
    KeptValues(Type argument, const KeptOptions& options)
        : argument_(argument), options_(options) {}

    Type result_type() const override { return options_.counts ? Type::kInt8 : Type::kOpaque; }
    void free(char* group) override {
        bytes_ -= state(group).memory_bytes();
        state(group).~Kept();
    }
    void begin_batch(const MessageRows& batch) override { batch_ = &batch; }
    void update(std::span<char* const> groups, std::span<const int32_t> rows,
                const Column* argument) override {
        for (size_t i = 0; i < groups.size(); i++) {
            bool null = argument->is_null(rows[i]);
            if (null && options_.counts) continue;
            const Message& message = batch_->message(rows[i]);
            head_.clear();
            head_.varint(static_cast<uint64_t>(message.partition));
            head_.varint(static_cast<uint64_t>(message.offset));
            value_.clear();
            write_value(*argument, rows[i], null);
            add(state(groups[i]), head_.view(), {value_.view(), null});
        }
    }
    bool result(const char* group, Column& out, int32_t row) const override {
        const Kept& s = state(group);
        if (options_.counts) {
            out.set_int(row, s.index ? s.index->size() : 0);
        } else if (std::string_view image = image_of(s); !image.empty()) {
            out.set_text(row, image);
        }
        return true;
    }
    void write(const char* group, ByteWriter& out) const override {
        out.sized(state(group).state.view());
        out.sized(state(group).entries.view());
    }
    void read(char* group, ByteReader& in) override {
        free(group);
        make(group);
        read_change(group, in);
    }
    void write_change(const char* group, ByteWriter& out) const override {
        const Kept& s = state(group);
        out.sized(s.state.view());
        out.sized(s.entries.from(s.settled));
    }
    void read_change(char* group, ByteReader& in) override {
        Kept& s = state(group);
        put_state(group, in.sized());
        std::string_view entries = in.sized();
        ByteReader rest(entries);
        while (rest.ok() && !rest.at_end()) {
            std::string_view from = rest.rest();
            Entry entry = read_entry(rest, from);
            size_t head = static_cast<size_t>(entry.value.data() - from.data());
            if (rest.ok()) add(s, from.substr(0, head), entry);
        }
        if (!rest.ok()) in.fail();
        settle(group);
    }
    void settle(char* group) override { state(group).settled = state(group).entries.size(); }
    bool owns_memory() const override { return true; }
    Pending pending(const char* group) const override {
        if (!options_.folds) return {};
        return {state(group).state.view(), state(group).entries.view()};
    }
    void put_state(char* group, std::string_view image) override {
        if (!options_.folds) return;
        Kept& s = state(group);
        bytes_ -= s.memory_bytes();
        s.entries.free();
        s.settled = 0;
        s.state.free();
        s.state.append(image);
        bytes_ += s.memory_bytes();
    }
    size_t memory_bytes() const override { return bytes_; }

  private:
    std::string_view image_of(const Kept& s) const {
        return options_.folds ? s.state.view() : s.entries.view();
    }
    // Equal values of the distinct have equal bytes: one zero, one NaN.
    void write_value(const Column& column, int32_t row, bool null) {
        if (null) {
            value_.varint(0);
        } else if (has_bytes(argument_)) {
            value_.varint(column.text_at(row).size() + 1);
            value_.raw(column.text_at(row));
        } else {
            value_.varint(sizeof(uint64_t) + 1);
            uint64_t cell = column.cells[static_cast<size_t>(row)];
            bool is_float = argument_ == Type::kFloat4 || argument_ == Type::kFloat8;
            value_.fixed64(is_float && options_.counts ? canonical(cell) : cell);
        }
    }
    static uint64_t canonical(uint64_t cell) {
        double value = std::bit_cast<double>(cell);
        if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
        return std::bit_cast<uint64_t>(value == 0 ? 0.0 : value);
    }
    void add(Kept& s, std::string_view head, const Entry& entry) {
        size_t before = s.memory_bytes();
        if (options_.distinct) {
            if (!s.index) s.index = std::make_unique<ValueIndex>();
            if (!s.index->add(s.entries.view(), entry.value, s.entries.size())) return;
        }
        s.entries.append(head);
        s.entries.append(entry.value);
        bytes_ += s.memory_bytes() - before;
    }

    Type argument_;
    KeptOptions options_;
    size_t bytes_ = 0;  // that the states own
    const MessageRows* batch_ = nullptr;
    ByteWriter head_, value_;
};

}  // namespace

std::unique_ptr<Aggregate> make_kept_values(Type argument, const KeptOptions& options) {
    return std::make_unique<KeptValues>(argument, options);
}

}  // namespace anomaly
