#include "core/group/kept_row.h"

#include <optional>
#include <string>
#include <tuple>

namespace anomaly {

namespace {

// time, partition, offset
using Place = std::tuple<int64_t, int32_t, int64_t>;

struct RowState {
    std::string value;
    Place place;
    bool present = false;
};

// Nothing: NULL.
std::optional<int64_t> time_of(std::string_view row) {
    constexpr size_t kTimeAt = 2;
    constexpr size_t kTimeBytes = 8;
    if (row.size() < kTimeAt + kTimeBytes || row[0] != '\0' || row[1] != kTimeBytes) return {};
    uint64_t time = 0;
    for (size_t i = 0; i < kTimeBytes; i++) {
        time = time << 8 | static_cast<uint8_t>(row[kTimeAt + i]);
    }
    return static_cast<int64_t>(time);
}

class KeptRow final : public AggregateOf<RowState> {
  public:
    explicit KeptRow(bool last) : last_(last) {}

    Type result_type() const override { return Type::kOpaque; }
    void make(char* group) override {
        AggregateOf::make(group);
        bytes_ += state(group).value.capacity();
    }
    void free(char* group) override {
        bytes_ -= state(group).value.capacity();
        state(group).~RowState();
    }
    void begin_batch(const MessageRows& batch) override { batch_ = &batch; }
    void update(std::span<char* const> groups, std::span<const int32_t> rows,
                const Column* argument) override {
        for (size_t i = 0; i < groups.size(); i++) {
            std::string_view row = argument->text_at(rows[i]);
            std::optional<int64_t> time = time_of(row);
            if (!time) continue;
            const Message& message = batch_->message(rows[i]);
            add(state(groups[i]), {*time, message.partition, message.offset}, row);
        }
    }
    bool result(const char* group, Column& out, int32_t row) const override {
        const RowState& s = state(group);
        if (s.present) out.set_text(row, s.value);
        return true;
    }
    void write(const char* group, ByteWriter& out) const override { out.sized(state(group).value); }
    void read(char* group, ByteReader& in) override {
        free(group);
        make(group);
        std::string_view entry = in.sized();
        if (entry.empty()) return;
        ByteReader rest(entry);
        int32_t partition = static_cast<int32_t>(rest.varint());
        int64_t offset = static_cast<int64_t>(rest.varint());
        uint64_t size = rest.varint();
        std::string_view row = rest.raw(size == 0 ? 0 : size - 1);
        std::optional<int64_t> time = time_of(row);
        if (!rest.ok() || !rest.at_end() || !time) {
            in.fail();
        } else {
            add(state(group), {*time, partition, offset}, row);
        }
    }
    bool owns_memory() const override { return true; }
    size_t memory_bytes() const override { return bytes_; }

  private:
    // Of the rows of one message the later is the last.
    void add(RowState& s, const Place& place, std::string_view row) {
        if (s.present && (last_ ? place < s.place : place >= s.place)) return;
        entry_.clear();
        entry_.varint(static_cast<uint64_t>(std::get<1>(place)));
        entry_.varint(static_cast<uint64_t>(std::get<2>(place)));
        entry_.varint(row.size() + 1);
        entry_.raw(row);
        bytes_ -= s.value.capacity();
        s.value = entry_.view();
        bytes_ += s.value.capacity();
        s.place = place;
        s.present = true;
    }

    bool last_;
    size_t bytes_ = 0;  // that the states own
    const MessageRows* batch_ = nullptr;
    ByteWriter entry_;
};

}  // namespace

std::unique_ptr<Aggregate> make_kept_row(bool last) {
    return std::make_unique<KeptRow>(last);
}

}  // namespace anomaly
