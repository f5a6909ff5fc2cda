#include "core/table/table_batch.h"

#include <algorithm>
#include <utility>

#include "core/data/column_copy.h"

namespace anomaly {

void TableBatch::begin(const MessageRows& rows, const std::vector<int32_t>& good_rows,
                       const Column* event_times) {
    rows_ = &rows;
    event_times_ = event_times;
    selected_ = good_rows;
    expression_ = 0;
    waiting_.clear();
    rejected_.assign(static_cast<size_t>(rows.size()), 0);
    if (values_.empty()) {
        for (const Expression& e : table_.plan().expressions) computed_.emplace_back(e.type);
        for (const Column& column : computed_) values_.push_back(&column);
    }
}

bool TableBatch::run(const std::vector<Column>& columns) {
    if (!waiting_.empty()) {  // by now they have their answers
        waiting_.clear();
        finish();
        expression_++;
    }
    for (; !selected_.empty() && expression_ < table_.plan().expression_count(); expression_++) {
        evaluate(columns);
        if (!waiting_.empty()) return true;
        finish();
    }
    return false;
}

void TableBatch::choose_rows(int32_t expression) {
    TablePlan& plan = table_.plan();
    int32_t beyond_keys = expression - plan.filter_at(0);
    bool is_argument =
        beyond_keys >= 0 && beyond_keys < 2 * plan.aggregate_count && beyond_keys % 2 == 1;
    if (!is_argument || !plan.at(expression - 1).present) {
        chosen_ = selected_;
        return;
    }
    const Column& filter = *values_[static_cast<size_t>(expression - 1)];
    chosen_.clear();
    std::copy_if(selected_.begin(), selected_.end(), std::back_inserter(chosen_),
                 [&](int32_t row) { return is_true(filter, row); });
}

void TableBatch::evaluate(const std::vector<Column>& columns) {
    Expression& expression = table_.plan().at(expression_);
    if (!expression.present) return;
    choose_rows(expression_);
    Column& value = computed_[static_cast<size_t>(expression_)];
    if (expression.program && expression.program->column() >= 0) {
        values_[static_cast<size_t>(expression_)] =
            &columns[static_cast<size_t>(expression.program->column())];
        return;
    }
    if (chosen_.empty() || !expression.program) {
        value.assign_nulls(rows_->size());
        waiting_ = chosen_;
        return;
    }
    if (!expression.program->evaluate(columns, rows_->size(), value, unsure_)) return;
    std::copy_if(chosen_.begin(), chosen_.end(), std::back_inserter(waiting_),
                 [&](int32_t row) { return unsure_[static_cast<size_t>(row)] != 0; });
}

void TableBatch::put_value(int32_t row, const uint64_t* cells, Arena& arena) {
    set_cells(computed_[static_cast<size_t>(expression_)], row, cells, arena);
}

void TableBatch::reject(int32_t row, std::string_view reason) {
    if (rejected_[static_cast<size_t>(row)] != 0) return;
    any_rejected_ = true;
    for (int32_t r = rows_->first_of_message(row); r < rows_->end_of_message(row); r++) {
        rejected_[static_cast<size_t>(r)] = 1;
    }
    table_.log().add_dead(*rows_, row, reason);
}

void TableBatch::finish() {
    if (std::exchange(any_rejected_, false)) {
        std::erase_if(selected_,
                      [&](int32_t row) { return rejected_[static_cast<size_t>(row)] != 0; });
    }
    if (expression_ == 0) select_by_where();
}

bool TableBatch::takes(int32_t row) {
    int64_t time_us = event_times_->int_at(row);
    if (table_.is_open_at(time_us)) return true;
    if (!table_.has_windows_in_range(time_us)) {
        reject(row, "timestamp out of range");
        return false;
    }
    return table_.admit(*rows_, row, time_us);
}

void TableBatch::select_by_where() {
    const Column& where = *values_[0];
    bool has_where = table_.plan().at(0).present;
    std::erase_if(selected_, [&](int32_t row) {
        if (has_where && !is_true(where, row)) return true;
        return event_times_ != nullptr && !takes(row);
    });
}

void TableBatch::fold(EncodedKeys& keys) {
    if (!selected_.empty()) table_.fold(*rows_, selected_, event_times_, values_, keys);
}

}  // namespace anomaly
