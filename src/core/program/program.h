// A compiled expression: evaluates a tree of core/expr.h over a batch, a column at a time.
// One owner, one thread. Its scratch memory is kept from batch to batch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/data/column.h"
#include "core/expr.h"

namespace anomaly {

class Program {
  public:
    // Of a native expression (node_count > 0). Copies nodes and texts.
    explicit Program(const ExprSpec& spec);

    // Evaluates the rows 0 .. row_count - 1. columns: by the stream's index; those that the
    // expression names hold at least so many rows. result gets the program's type and row_count
    // rows; unsure is 1 for a row that PostgreSQL has to evaluate (result is NULL there), else 0.
    // Texts of the result point where the columns' do, or into the program, which keeps them until
    // the next evaluation. Throws std::bad_alloc. True: some row is unsure.
    bool evaluate(const std::vector<Column>& columns, int32_t row_count, Column& result,
                  std::vector<uint8_t>& unsure);

    Type type() const { return type_; }
    // The column that the expression is and no more; -1: something is computed.
    int32_t column() const {
        const bool is_column = nodes_.size() == 1 && nodes_[0].op == Op::kColumn;
        return is_column ? static_cast<int32_t>(nodes_[0].int_value) : -1;
    }

  private:
    struct Scratch {
        std::vector<uint64_t> cells;
        std::vector<uint8_t> states;
        size_t constant_rows = 0;  // kConstant: rows filled so far
    };

    void evaluate_node(const std::vector<Column>& columns, size_t index, size_t row_count);
    void fill_constant(const ExprNode& node, size_t row_count, Scratch& scratch) const;

    std::vector<ExprNode> nodes_;  // text points into texts_
    std::vector<std::string> texts_;
    std::vector<Scratch> scratch_;
    // Where each node's value lies in this evaluation: in a column, or in its scratch.
    std::vector<const uint64_t*> cells_;
    std::vector<const uint8_t*> states_;
    Arena arena_;  // texts that this evaluation made
    Type type_;
};

}  // namespace anomaly
