// Cases for expression programs: a tree over columns whose rows are given next to it, and the
// answers of PostgreSQL, written down as literals; "unsure" is an answer like any other.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/program/program.h"

namespace anomaly {

constexpr double kInf = std::numeric_limits<double>::infinity();
inline const double kNan = std::nan("");
constexpr double kMax = std::numeric_limits<double>::max();
constexpr double kMin = std::numeric_limits<double>::min();

// Builds trees in post-order.
class Builder {
  public:
    int32_t column(int64_t index, Type type) {
        ExprNode node = blank(Op::kColumn, type);
        node.int_value = index;
        return push(node);
    }
    int32_t integer(int64_t value, Type type) {
        ExprNode node = blank(Op::kConstant, type);
        node.int_value = value;
        return push(node);
    }
    int32_t number(double value) {
        ExprNode node = blank(Op::kConstant, Type::kFloat8);
        node.float_value = value;
        return push(node);
    }
    int32_t text(const std::string& value) {
        texts_.push_back(value);
        ExprNode node = blank(Op::kConstant, Type::kText);
        node.text = texts_.back().data();
        node.text_size = static_cast<int32_t>(value.size());
        return push(node);
    }
    int32_t null(Type type) {
        ExprNode node = blank(Op::kConstant, type);
        node.is_null = true;
        return push(node);
    }
    int32_t op(Op op, Type type, int32_t a, int32_t b = -1, int32_t c = -1, int64_t k = 0) {
        ExprNode node = blank(op, type);
        node.args[0] = a;
        node.args[1] = b;
        node.args[2] = c;
        node.int_value = k;
        return push(node);
    }
    Program program() const {
        return Program({nodes_.data(), static_cast<int32_t>(nodes_.size()), nodes_.back().type});
    }

  private:
    static ExprNode blank(Op op, Type type) {
        return {op, type, false, {-1, -1, -1}, 0, 0.0, nullptr, 0};
    }
    int32_t push(const ExprNode& node) {
        nodes_.push_back(node);
        return static_cast<int32_t>(nodes_.size()) - 1;
    }
    std::vector<ExprNode> nodes_;
    std::deque<std::string> texts_;
};

// A row's outcome.
struct Cell {
    enum Kind { kValue, kNull, kUnsure } kind;
    uint64_t bits;
    bool operator==(const Cell& other) const { return kind == other.kind && bits == other.bits; }
};
inline std::ostream& operator<<(std::ostream& out, const Cell& cell) {
    if (cell.kind == Cell::kNull) return out << "NULL";
    if (cell.kind == Cell::kUnsure) return out << "unsure";
    return out << static_cast<int64_t>(cell.bits) << " / " << std::bit_cast<double>(cell.bits);
}
inline const Cell kNullCell{Cell::kNull, 0};
inline const Cell kUnsureCell{Cell::kUnsure, 0};
inline Cell I(int64_t value) {
    return {Cell::kValue, static_cast<uint64_t>(value)};
}
inline Cell F(double value) {
    return {Cell::kValue, std::bit_cast<uint64_t>(value)};
}

inline Column column_of(Type type, const std::vector<Cell>& cells) {
    Column column(type);
    column.assign_nulls(static_cast<int32_t>(cells.size()));
    for (size_t i = 0; i < cells.size(); i++) {
        if (cells[i].kind == Cell::kValue) {
            column.set_int(static_cast<int32_t>(i), static_cast<int64_t>(cells[i].bits));
        }
    }
    return column;
}

inline std::vector<Cell> run(Program& program, const std::vector<Column>& columns, int32_t rows) {
    Column result(Type::kBool);
    std::vector<uint8_t> unsure;
    program.evaluate(columns, rows, result, unsure);
    EXPECT_EQ(result.row_count(), rows);
    EXPECT_EQ(unsure.size(), static_cast<size_t>(rows));
    std::vector<Cell> cells;
    for (int32_t i = 0; i < rows; i++) {
        Cell cell = I(result.int_at(i));
        if (unsure[static_cast<size_t>(i)] != 0) {
            EXPECT_TRUE(result.is_null(i));
            cell = kUnsureCell;
        } else if (result.is_null(i)) {
            EXPECT_EQ(result.int_at(i), 0);
            cell = kNullCell;
        }
        cells.push_back(cell);
    }
    return cells;
}

struct BinaryCase {
    Cell a;
    Cell b;
    Cell expected;
};

inline void check_binary(Op op, Type operand, Type type, const std::vector<BinaryCase>& cases) {
    Builder builder;
    int32_t a = builder.column(0, operand);
    int32_t b = builder.column(1, operand);
    builder.op(op, type, a, b);
    Program program = builder.program();
    std::vector<Cell> left, right, expected;
    for (const BinaryCase& c : cases) {
        left.push_back(c.a);
        right.push_back(c.b);
        expected.push_back(c.expected);
    }
    std::vector<Column> columns = {column_of(operand, left), column_of(operand, right)};
    EXPECT_EQ(run(program, columns, static_cast<int32_t>(cases.size())), expected)
        << "op " << static_cast<int>(op);
}

inline void check_unary(Op op, Type operand, Type type,
                        const std::vector<std::pair<Cell, Cell>>& cases, int64_t k = 0) {
    Builder builder;
    builder.op(op, type, builder.column(0, operand), -1, -1, k);
    Program program = builder.program();
    std::vector<Cell> in, expected;
    for (const auto& [cell, result] : cases) {
        in.push_back(cell);
        expected.push_back(result);
    }
    std::vector<Column> columns = {column_of(operand, in)};
    EXPECT_EQ(run(program, columns, static_cast<int32_t>(cases.size())), expected)
        << "op " << static_cast<int>(op);
}

}  // namespace anomaly
