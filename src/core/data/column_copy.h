// Small helpers over columns: a row's truth, values that move from one owner to another.
#pragma once

#include <cstdint>
#include <vector>

#include "core/data/column.h"

namespace anomaly {

inline bool is_true(const Column& column, int32_t row) {
    return !column.is_null(row) && column.int_at(row) != 0;
}

// Sets one row from foreign cells; bytes are copied into the arena.
inline void set_cells(Column& column, int32_t row, const uint64_t* cells, Arena& arena) {
    if (has_bytes(column.type)) {
        std::string_view bytes(reinterpret_cast<const char*>(cells[0]), cells[1]);
        column.set_text(row, bytes.empty() ? std::string_view("", 0) : arena.copy(bytes));
        return;
    }
    size_t width = static_cast<size_t>(stride(column.type));
    std::memcpy(&column.cells[static_cast<size_t>(row) * width], cells, width * sizeof(uint64_t));
    column.nulls[static_cast<size_t>(row)] = 0;
}

// Appends rows of one column to another of the same type; bytes are copied into the arena.
inline void append_rows(const Column& from, const std::vector<int32_t>& rows, Column& to,
                        Arena& arena) {
    size_t width = static_cast<size_t>(stride(from.type));
    int32_t at = to.row_count();
    to.cells.resize(to.cells.size() + rows.size() * width, 0);
    to.nulls.resize(to.nulls.size() + rows.size(), 1);
    for (int32_t row : rows) {
        if (!from.is_null(row)) {
            set_cells(to, at, &from.cells[static_cast<size_t>(row) * width], arena);
        }
        at++;
    }
}

// The rows of one column in another order, or some of them; bytes stay where they are.
inline Column gather_rows(const Column& from, const std::vector<int32_t>& order) {
    size_t width = static_cast<size_t>(stride(from.type));
    Column to(from.type);
    to.assign_nulls(static_cast<int32_t>(order.size()));
    for (size_t i = 0; i < order.size(); i++) {
        auto row = static_cast<size_t>(order[i]);
        to.nulls[i] = from.nulls[row];
        std::memcpy(&to.cells[i * width], &from.cells[row * width], width * sizeof(uint64_t));
    }
    return to;
}

}  // namespace anomaly
