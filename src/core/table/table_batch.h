// One table's expressions over the batch at hand: which rows it selects, what PostgreSQL has yet to
// evaluate, and then the fold into the table's state. One thread.
//
// An expression is evaluated only for rows that need its value: nothing after WHERE for rows that
// it leaves out or that are late, no argument where the aggregate's filter is not true.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/data/column.h"
#include "core/data/message_rows.h"
#include "core/table/table_state.h"

namespace anomaly {

class TableBatch {
  public:
    explicit TableBatch(TableState& table) : table_(table) {}

    // event_times: nullptr where the stream has none.
    void begin(const MessageRows& rows, const std::vector<int32_t>& good_rows,
               const Column* event_times);
    // Goes on until rows wait for PostgreSQL (true), or all is evaluated.
    bool run(const std::vector<Column>& columns);
    int32_t expression() const { return expression_; }  // that waits
    const std::vector<int32_t>& waiting() const { return waiting_; }
    // Answers; a row without one has NULL. A rejected row takes the other rows of its message with
    // it.
    void put_value(int32_t row, const uint64_t* cells, Arena& arena);
    void reject(int32_t row, std::string_view reason);

    void fold(EncodedKeys& keys);

  private:
    void choose_rows(int32_t expression);
    void evaluate(const std::vector<Column>& columns);
    void finish();
    void select_by_where();
    // Some window of the row's is open.
    bool takes(int32_t row);

    TableState& table_;
    const MessageRows* rows_ = nullptr;
    const Column* event_times_ = nullptr;
    int32_t expression_ = 0;
    std::vector<int32_t> selected_;
    std::vector<int32_t> chosen_;   // rows whose value the expression is wanted for
    std::vector<int32_t> waiting_;  // of these
    std::vector<uint8_t> rejected_;
    bool any_rejected_ = false;  // since selected_ was last rid of them
    std::vector<uint8_t> unsure_;
    std::vector<Column> computed_;       // by expression
    std::vector<const Column*> values_;  // by expression: computed, or the stream's column
};

}  // namespace anomaly
