// Inside of Program: how the values of a node lie in memory, and the loops that all operations
// share. Only the program_*.cpp files include this.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "core/data/column.h"
#include "core/expr.h"

namespace anomaly::program {

// A row's state is 0 for a value, else a set of these. kNull is the same 1 as in Column::nulls, so
// that a column is an operand without being copied; a row with kUnsure has no meaning otherwise.
constexpr uint8_t kNull = 1;
constexpr uint8_t kUnsure = 2;

struct Operand {
    const uint64_t* cells;
    const uint8_t* states;
};

struct Output {
    uint64_t* cells;  // whatever where the state is not 0
    uint8_t* states;
};

inline int64_t to_int(uint64_t cell) {
    return static_cast<int64_t>(cell);
}
inline uint64_t from_int(int64_t value) {
    return static_cast<uint64_t>(value);
}
inline double to_float(uint64_t cell) {
    return std::bit_cast<double>(cell);
}
inline uint64_t from_float(double value) {
    return std::bit_cast<uint64_t>(value);
}

// Strict operations on operands of one cell. f(cells..., &result) computes for every row, NULL or
// not, and returns false where PostgreSQL has to be asked. As PostgreSQL does, all operands are
// evaluated before any is tested for NULL: an unsure one makes the row unsure whatever the others.
template <class F>
void strict_unary(Operand a, size_t n, Output out, F f) {
    for (size_t i = 0; i < n; i++) {
        uint64_t result = 0;
        bool sure = f(a.cells[i], &result);
        uint8_t state = a.states[i];
        out.cells[i] = result;
        out.states[i] = sure || state != 0 ? state : kUnsure;
    }
}

template <class F>
void strict_binary(Operand a, Operand b, size_t n, Output out, F f) {
    for (size_t i = 0; i < n; i++) {
        uint64_t result = 0;
        bool sure = f(a.cells[i], b.cells[i], &result);
        auto state = static_cast<uint8_t>(a.states[i] | b.states[i]);
        out.cells[i] = result;
        out.states[i] = sure || state != 0 ? state : kUnsure;
    }
}

void evaluate_arithmetic(const ExprNode& node, Operand a, Operand b, size_t n, Output out);
void evaluate_comparison(const ExprNode& node, Operand a, Operand b, size_t n, Output out);
void evaluate_logic(const ExprNode& node, Operand a, Operand b, Operand c, size_t n, Output out);
void evaluate_cast(const ExprNode& node, Operand a, size_t n, Output out);
void evaluate_number(const ExprNode& node, Operand a, Operand b, size_t n, Output out);
void evaluate_time(const ExprNode& node, Operand a, Operand b, size_t n, Output out);
// Results point into the operands, or are numbers.
void evaluate_text(const ExprNode& node, Operand a, Operand b, Operand c, size_t n, Output out);
// Results lie in the arena.
void evaluate_new_text(const ExprNode& node, Operand a, Operand b, Operand c, size_t n, Output out,
                       Arena& arena);

}  // namespace anomaly::program
