// The group keys of a batch's rows as bytes, each encoded and hashed once, however many windows and
// tables want it: tables of a stream that group by the same columns share one. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "core/data/bytes.h"
#include "core/data/column.h"
#include "core/group/group_key.h"

namespace anomaly {

class EncodedKeys {
  public:
    struct Key {
        size_t at;    // in the bytes of all
        size_t size;  // kNone: not encoded
        uint64_t hash;
    };

    explicit EncodedKeys(std::vector<Type> types) : codec_(std::move(types)) {}

    // The columns are gone. Before any table of the next batch asks for keys.
    void end_batch() { has_begun_ = false; }
    // The columns, one for each type, stay as they are until the batch ends. Whoever shares the
    // keys has the same: only the first call does something.
    void begin(const std::vector<const Column*>& columns, int32_t row_count);
    // Before the keys of these rows are looked at. What was encoded for earlier ones may be
    // forgotten: the keys of a batch could take any amount of memory.
    void encode(std::span<const int32_t> rows);
    const Key& at(int32_t row) const { return keys_[static_cast<size_t>(row)]; }
    std::string_view bytes(const Key& key) const {
        return {bytes_.view().data() + key.at, key.size};
    }

  private:
    static constexpr size_t kNone = SIZE_MAX;
    static constexpr size_t kMostBytes = size_t{4} << 20;

    void forget();

    GroupKeyCodec codec_;
    bool has_begun_ = false;
    std::vector<const Column*> columns_;
    std::vector<Key> keys_;  // by row
    ByteWriter bytes_;
};

}  // namespace anomaly
