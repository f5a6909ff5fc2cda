#include "core/group/extreme_text.h"

#include <string>

namespace anomaly {

namespace {

struct TextState {
    std::string value;
    bool present = false;
};

class ExtremeText final : public AggregateOf<TextState> {
  public:
    explicit ExtremeText(bool larger) : larger_(larger) {}

    Type result_type() const override { return Type::kText; }
    void make(char* group) override {
        AggregateOf::make(group);
        bytes_ += state(group).value.capacity();
    }
    void free(char* group) override {
        bytes_ -= state(group).value.capacity();
        state(group).~TextState();
    }
    void update(std::span<char* const> groups, std::span<const int32_t> rows,
                const Column* argument) override {
        for (size_t i = 0; i < groups.size(); i++) {
            if (argument->is_null(rows[i])) continue;
            TextState& s = state(groups[i]);
            std::string_view value = argument->text_at(rows[i]);
            if (s.present && (larger_ ? value <= s.value : value >= s.value)) continue;
            set(s, value);
        }
    }
    bool result(const char* group, Column& out, int32_t row) const override {
        if (state(group).present) out.set_text(row, state(group).value);
        return true;
    }
    void write(const char* group, ByteWriter& out) const override {
        out.byte(state(group).present ? 1 : 0);
        out.sized(state(group).value);
    }
    void read(char* group, ByteReader& in) override {
        free(group);
        make(group);
        bool present = in.byte() != 0;
        std::string_view value = in.sized();
        if (present) set(state(group), value);
    }
    bool owns_memory() const override { return true; }
    size_t memory_bytes() const override { return bytes_; }

  private:
    void set(TextState& s, std::string_view value) {
        bytes_ -= s.value.capacity();
        s.value = value;
        bytes_ += s.value.capacity();
        s.present = true;
    }

    bool larger_;
    size_t bytes_ = 0;  // of the texts
};

}  // namespace

std::unique_ptr<Aggregate> make_extreme_text(bool larger) {
    return std::make_unique<ExtremeText>(larger);
}

}  // namespace anomaly
