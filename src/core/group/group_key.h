// Group keys as bytes: equal keys have equal compared bytes, and the first seen value comes back.
//
// Compared part: for each key a null flag, then 8 bytes, or a length and the bytes. Minus zero is
// written as zero and every NaN as one NaN. After the compared part one byte for each float key
// tells whether the first seen zero was negative. No thread rule: all const.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/data/bytes.h"
#include "core/data/column.h"

namespace anomaly {

class GroupKeyCodec {
  public:
    explicit GroupKeyCodec(std::vector<Type> types);

    // Appends the key of one row of the columns, one for each type.
    void encode(const std::vector<const Column*>& columns, int32_t row, ByteWriter& out) const;
    // Sets one row of the columns; texts point into the key. False: not a key of this codec.
    bool decode(std::string_view key, std::vector<Column>& columns, int32_t row) const;
    bool valid(std::string_view key) const;

    const std::vector<Type>& types() const { return types_; }
    // Bytes at the end of a key that take no part in comparisons.
    uint32_t tail_bytes() const { return tail_bytes_; }

  private:
    std::vector<Type> types_;
    uint32_t tail_bytes_ = 0;
};

}  // namespace anomaly
