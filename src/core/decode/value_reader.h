// From the text of one value to the cells of a column, where PostgreSQL's result is certain. One
// for each column; the formats share it. False always means "ask PostgreSQL", never "wrong". No
// state that changes.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/data/column.h"
#include "core/decode/json_scalar.h"
#include "core/spec.h"
#include "core/time/zone.h"

namespace anomaly {

// As many cells as the type has. Bytes lie in the text that was read, or in the arena.
struct Value {
    uint64_t cells[2] = {};

    void set(std::string_view bytes) {
        cells[0] = reinterpret_cast<uint64_t>(bytes.data());
        cells[1] = bytes.size();
    }
    void set(int64_t value) { cells[0] = static_cast<uint64_t>(value); }
    std::string_view bytes() const {
        return {reinterpret_cast<const char*>(cells[0]), static_cast<size_t>(cells[1])};
    }
};

inline void store_value(const Value& value, int32_t row, Column& column) {
    if (has_bytes(column.type)) {
        column.set_text(row, value.bytes());
    } else {
        column.set_int(row, static_cast<int64_t>(value.cells[0]));
    }
}

class ValueReader {
  public:
    // The zone is the stream's, and outlives this.
    ValueReader(const StreamColumnSpec& column, const Zone& zone);

    Type type() const { return type_; }
    // A text as the type's input function takes it: a field of CSV, the content of a JSON string.
    // Its encoding is checked; it has no NUL byte.
    bool from_text(std::string_view text, Arena& arena, Value* out) const;
    // A number, true or false of JSON. jsonb_populate_record gives numeric's text of a number to
    // the input function.
    bool from_json(const JsonScalar& scalar, Arena& arena, Value* out) const;

  private:
    bool from_number(std::string_view token, const JsonNumber& number, Arena& arena,
                     Value* out) const;
    bool to_text(std::string_view text, Value* out) const;
    bool to_numeric(std::string_view token, const JsonNumber& number, Arena& arena,
                    Value* out) const;
    bool to_epoch_time(const JsonNumber& number, Value* out) const;
    bool to_time(std::string_view text, Value* out) const;
    bool fits_precision(int64_t time_us) const;

    Type type_;
    TimeUnit unit_;
    int32_t precision_;
    int32_t scale_;
    const Zone& zone_;
};

}  // namespace anomaly
