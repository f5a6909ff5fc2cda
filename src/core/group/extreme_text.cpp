#include "core/group/extreme_text.h"

#include <string>

#include "core/data/slot_array.h"

namespace anomaly {

namespace {

struct Slot {
    std::string value;
    bool present = false;
};

class ExtremeText final : public Aggregate {
  public:
    explicit ExtremeText(bool larger) : larger_(larger) {}

    Type result_type() const override { return Type::kText; }
    void resize(uint32_t slot_limit) override { slots_.resize(slot_limit); }
    void clear(uint32_t slot) override {
        bytes_ -= slots_[slot].value.capacity();
        slots_[slot] = {};
        bytes_ += slots_[slot].value.capacity();
    }
    void update(std::span<const uint32_t> slots, std::span<const int32_t> rows,
                const Column* argument) override {
        for (size_t i = 0; i < slots.size(); i++) {
            if (argument->is_null(rows[i])) continue;
            Slot& s = slots_[slots[i]];
            std::string_view value = argument->text_at(rows[i]);
            if (s.present && (larger_ ? value <= s.value : value >= s.value)) continue;
            set(s, value);
        }
    }
    bool result(uint32_t slot, Column& out, int32_t row) const override {
        if (slots_[slot].present) out.set_text(row, slots_[slot].value);
        return true;
    }
    void write(uint32_t slot, ByteWriter& out) const override {
        out.byte(slots_[slot].present ? 1 : 0);
        out.sized(slots_[slot].value);
    }
    void read(uint32_t slot, ByteReader& in) override {
        clear(slot);
        bool present = in.byte() != 0;
        std::string_view value = in.sized();
        if (present) set(slots_[slot], value);
    }
    bool owns_memory() const override { return true; }
    size_t memory_bytes() const override { return slots_.memory_bytes() + bytes_; }
    uint32_t state_bytes() const override { return sizeof(Slot); }

  private:
    void set(Slot& s, std::string_view value) {
        bytes_ -= s.value.capacity();
        s.value = value;
        bytes_ += s.value.capacity();
        s.present = true;
    }

    bool larger_;
    SlotArray<Slot> slots_;
    size_t bytes_ = 0;  // of the texts
};

}  // namespace

std::unique_ptr<Aggregate> make_extreme_text(bool larger) {
    return std::make_unique<ExtremeText>(larger);
}

}  // namespace anomaly
