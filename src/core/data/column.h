// A growable column of values, and the arena its texts live in. One owner, one thread.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "core/type.h"

namespace anomaly {

// Bump allocator for the bytes of one batch; reset() keeps the memory for the next batch.
class Arena {
  public:
    // Returns `size` writable bytes, valid until reset(). Throws std::bad_alloc.
    char* allocate(size_t size);
    // Copies the bytes in; the view is valid until reset().
    std::string_view copy(std::string_view bytes);
    void reset();
    size_t bytes_used() const { return used_; }
    size_t bytes_reserved() const { return reserved_; }

  private:
    struct Block {
        std::unique_ptr<char[]> data;
        size_t size;
    };
    std::vector<Block> blocks_;
    size_t block_ = 0;     // index of the block in use
    size_t position_ = 0;  // within that block
    size_t used_ = 0;
    size_t reserved_ = 0;
};

struct Column {
    explicit Column(Type column_type) : type(column_type) {}

    Type type;
    std::vector<uint64_t> cells;  // stride(type) per row
    std::vector<uint8_t> nulls;   // one per row, 1 = NULL

    int32_t row_count() const { return static_cast<int32_t>(nulls.size()); }
    // Makes room for n rows, all NULL with zero cells.
    void assign_nulls(int32_t n) {
        nulls.assign(static_cast<size_t>(n), 1);
        cells.assign(static_cast<size_t>(n) * static_cast<size_t>(stride(type)), 0);
    }
    void append_null() {
        nulls.push_back(1);
        cells.resize(nulls.size() * static_cast<size_t>(stride(type)), 0);
    }
    void truncate(int32_t n) {
        nulls.resize(static_cast<size_t>(n));
        cells.resize(static_cast<size_t>(n) * static_cast<size_t>(stride(type)));
    }
    void set_int(int32_t row, int64_t value) { set_cell(row, static_cast<uint64_t>(value)); }
    void set_float(int32_t row, double value) { set_cell(row, std::bit_cast<uint64_t>(value)); }
    // The bytes must outlive the column (they lie in the batch's arena or its messages).
    void set_text(int32_t row, std::string_view value) {
        cells[static_cast<size_t>(row) * 2] = reinterpret_cast<uint64_t>(value.data());
        cells[static_cast<size_t>(row) * 2 + 1] = value.size();
        nulls[static_cast<size_t>(row)] = 0;
    }
    void set_null(int32_t row) {
        auto width = static_cast<size_t>(stride(type));
        auto at = static_cast<size_t>(row);
        for (size_t c = 0; c < width; c++) cells[at * width + c] = 0;
        nulls[at] = 1;
    }
    int64_t int_at(int32_t row) const {
        return static_cast<int64_t>(cells[static_cast<size_t>(row)]);
    }
    double float_at(int32_t row) const {
        return std::bit_cast<double>(cells[static_cast<size_t>(row)]);
    }
    std::string_view text_at(int32_t row) const {
        return {reinterpret_cast<const char*>(cells[static_cast<size_t>(row) * 2]),
                cells[static_cast<size_t>(row) * 2 + 1]};
    }
    bool is_null(int32_t row) const { return nulls[static_cast<size_t>(row)] != 0; }
    ColumnView view() const { return {type, row_count(), cells.data(), nulls.data()}; }

  private:
    void set_cell(int32_t row, uint64_t value) {
        cells[static_cast<size_t>(row)] = value;
        nulls[static_cast<size_t>(row)] = 0;
    }
};

}  // namespace anomaly
