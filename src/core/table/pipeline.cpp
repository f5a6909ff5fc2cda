#include "core/table/pipeline.h"

#include <algorithm>
#include <utility>

#include "core/data/column_copy.h"
#include "core/data/message_hash.h"
#include "core/time/event_time.h"

namespace anomaly {

using Kind = PipelineRequest::Kind;

namespace {

constexpr uint8_t kDropped = 2;  // beside 0 and 1: a row that is none

}  // namespace

Pipeline::Pipeline(const StreamSpec& stream, bool database_is_utf8)
    : event_time_(stream.event_time),
      watermark_delay_us_(stream.watermark_delay_us),
      max_future_us_(stream.max_future_us),
      decoder_(make_decoder(stream, database_is_utf8)),
      source_(stream.idle_timeout_us) {
    for (int32_t i = 0; i < stream.column_count; i++) {
        const StreamColumnSpec& column = stream.columns[i];
        bool generated = column.source == Source::kGenerated;
        stream_.push_back({column.source, column.not_null,
                           generated ? Expression::of(column.generated) : Expression()});
    }
}

// ---- tables and positions ----

Error Pipeline::add_table(const TableSpec& spec, const TableProgress& progress, int32_t* index) {
    if (Error error = TablePlan::check_window(spec, event_time_ >= 0)) return error;
    TablePlan plan(spec);
    if (Error error = plan.check()) return error;
    Table table;
    table.state = std::make_unique<TableState>(std::move(plan), watermark_delay_us_, progress);
    table.batch = std::make_unique<TableBatch>(*table.state);
    *index = table_count();
    keep(std::move(table));
    return {};
}

void Pipeline::keep(Table table) {
    const auto shares = [&](const Table& other) {
        return table.state && other.state &&
               table.state->plan().shares_keys_with(other.state->plan());
    };
    const auto found = std::find_if(tables_.begin(), tables_.end(), shares);
    if (found != tables_.end()) {
        table.keys = found->keys;
    } else if (table.state) {
        table.keys = std::make_shared<EncodedKeys>(table.state->plan().key_types());
    }
    tables_.push_back(std::move(table));
}

void Pipeline::remove_table(int32_t index) {
    tables_[static_cast<size_t>(index)] = {};
}

void Pipeline::take_tables(Pipeline& from) {
    for (Table& table : from.tables_) keep(std::move(table));
    from.tables_.clear();
}

int64_t Pipeline::windows_at_once() const {
    int64_t most = 1;
    for (const Table& table : tables_) {
        if (table.state) most = std::max(most, table.state->windows_at_once());
    }
    return most;
}

PartitionProgress& Pipeline::position_at(int32_t partition) {
    auto at = std::lower_bound(
        positions_.begin(), positions_.end(), partition,
        [](const PartitionProgress& p, int32_t number) { return p.partition < number; });
    if (at == positions_.end() || at->partition != partition) {
        at = positions_.insert(at, {partition, kOffsetBeginning, -1, 0, kNoTime});
    }
    return *at;
}

const PartitionProgress* Pipeline::position(int32_t partition) const {
    for (const PartitionProgress& p : positions_) {
        if (p.partition == partition) return &p;
    }
    return nullptr;
}

void Pipeline::assign(const PartitionProgress& start) {
    PartitionProgress& position = position_at(start.partition);
    positions_moved_ = positions_moved_ || position.next_offset != start.next_offset;
    position = start;
    int64_t head = start.max_event_time;
    for (const Table& table : tables_) {
        if (table.state)
            head = std::max(head, table.state->clock().max_event_time(start.partition));
    }
    source_.assigned(start.partition, head);
}

void Pipeline::advance(int32_t partition, int64_t next_offset) {
    PartitionProgress& position = position_at(partition);
    if (position.next_offset == next_offset) return;
    position.next_offset = next_offset;
    positions_moved_ = true;
}

// ---- a batch ----

void Pipeline::begin(const MessageBatch& batch, int64_t now_us, int32_t only_table) {
    only_table_ = only_table;
    now_us_ = now_us;
    arena_.reset();
    good_rows_.clear();
    waiting_.clear();
    decoder_->decode(batch, arena_, columns_, rows_);
    rejected_.assign(static_cast<size_t>(rows_.size()), 0);
    any_rejected_ = false;
    phase_ = Phase::kDecode;
    for (int32_t row = 0; row < rows_.size(); row++) {
        const RowState& state = rows_.state(row);
        if (state.status == RowStatus::kBad) {
            reject(row, state.reason);
        } else {
            good_rows_.push_back(row);
        }
        if (state.status == RowStatus::kUnsure) waiting_.push_back(row);
    }
    index_ = 0;
}

void Pipeline::put_aside(const MessageBatch& batch, std::string_view reason) {
    rows_.assign_each(batch);
    rejected_.assign(static_cast<size_t>(rows_.size()), 0);
    good_rows_.clear();
    phase_ = Phase::kDecode;
    for (int32_t row = 0; row < rows_.size(); row++) {
        reject(row, reason);
        source_.bad_message(rows_.message(row).partition);
    }
    move_positions();
    phase_ = Phase::kIdle;
}

PipelineRequest Pipeline::next() {
    if (phase_ == Phase::kDecode) {
        if (index_ == 0 && !waiting_.empty()) {
            index_ = 1;
            return request(Kind::kDecode, PipelineRequest::kStream, 0, waiting_);
        }
        take_answers();
        phase_ = Phase::kGenerated;
        index_ = 0;
    }
    if (phase_ == Phase::kGenerated) {
        if (run_generated()) {
            return request(Kind::kEvaluate, PipelineRequest::kStream, static_cast<int32_t>(index_),
                           waiting_);
        }
        begin_tables();
    }
    if (phase_ == Phase::kTables) {
        if (run_tables()) {
            const TableBatch& batch = *tables_[index_].batch;
            return request(Kind::kEvaluate, static_cast<int32_t>(index_), batch.expression(),
                           batch.waiting());
        }
        fold();
        phase_ = Phase::kIdle;
    }
    return {};
}

PipelineRequest Pipeline::request(Kind kind, int32_t table, int32_t expression,
                                  const std::vector<int32_t>& rows) {
    return {kind, table, expression, &rows};
}

void Pipeline::put_value(int32_t row, int32_t column, const uint64_t* cells) {
    if (phase_ == Phase::kTables) {
        tables_[index_].batch->put_value(row, cells, arena_);
        return;
    }
    size_t target = phase_ == Phase::kGenerated ? index_ : static_cast<size_t>(column);
    set_cells(columns_[target], row, cells, arena_);
}

void Pipeline::reject(int32_t row, std::string_view reason) {
    if (phase_ == Phase::kTables) {
        tables_[index_].batch->reject(row, reason);
        return;
    }
    if (rejected_[static_cast<size_t>(row)] != 0) return;
    any_rejected_ = true;
    for (int32_t r = rows_.first_of_message(row); r < rows_.end_of_message(row); r++) {
        rejected_[static_cast<size_t>(r)] = 1;
    }
    log_.add_dead(rows_, row, reason);
    dead_letter_count_++;
}

int32_t Pipeline::add_row(int32_t row) {
    for (size_t c = 0; c < columns_.size(); c++) {
        if (!is_decoded(c)) continue;
        Column& column = columns_[c];
        column.append_null();
        if (stream_[c].source == Source::kField || column.is_null(row)) continue;
        auto width = static_cast<size_t>(stride(column.type));
        set_cells(column, column.row_count() - 1, &column.cells[static_cast<size_t>(row) * width],
                  arena_);
    }
    rejected_.push_back(0);
    rows_are_added_ = true;
    return rows_.add(rows_.message_at(row));
}

void Pipeline::drop_row(int32_t row) {
    rejected_[static_cast<size_t>(row)] = kDropped;
    rows_are_added_ = true;
}

bool Pipeline::is_decoded(size_t column) const {
    return stream_[column].source != Source::kGenerated &&
           columns_[column].row_count() == rows_.size();
}

// Puts added rows beside the others of their message, and takes out what was dropped.
void Pipeline::arrange_rows() {
    std::vector<int32_t> order;
    for (int32_t row = 0; row < rows_.size(); row++) {
        if (rejected_[static_cast<size_t>(row)] != kDropped) order.push_back(row);
    }
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
        return rows_.message_at(a) < rows_.message_at(b);
    });
    for (size_t c = 0; c < columns_.size(); c++) {
        if (is_decoded(c)) columns_[c] = gather_rows(columns_[c], order);
    }
    MessageRows arranged;
    arranged.clear(*rows_.batch);
    std::vector<uint8_t> rejected;
    good_rows_.clear();
    for (int32_t row : order) {
        int32_t to = arranged.add(rows_.message_at(row), rows_.state(row));
        rejected.push_back(rejected_[static_cast<size_t>(row)]);
        if (rejected.back() == 0) good_rows_.push_back(to);
    }
    rows_ = std::move(arranged);
    rejected_ = std::move(rejected);
}

void Pipeline::take_answers() {
    waiting_.clear();
    if (std::exchange(rows_are_added_, false)) arrange_rows();
    if (!std::exchange(any_rejected_, false)) return;
    std::erase_if(good_rows_,
                  [&](int32_t row) { return rejected_[static_cast<size_t>(row)] != 0; });
}

bool Pipeline::run_generated() {
    if (!waiting_.empty()) {  // by now they have their answers
        check_not_null();
        index_++;
    }
    for (; index_ < stream_.size(); index_++) {
        if (stream_[index_].source != Source::kGenerated) continue;
        evaluate_generated();
        if (!waiting_.empty()) return true;
        check_not_null();
    }
    check_event_times();
    return false;
}

void Pipeline::evaluate_generated() {
    Expression& expression = stream_[index_].generated;
    Column value(expression.type);
    if (expression.program) {
        if (expression.program->evaluate(columns_, rows_.size(), value, unsure_)) {
            std::copy_if(good_rows_.begin(), good_rows_.end(), std::back_inserter(waiting_),
                         [&](int32_t row) { return unsure_[static_cast<size_t>(row)] != 0; });
        }
    } else {
        value.assign_nulls(rows_.size());
        waiting_ = good_rows_;
    }
    columns_[index_] = std::move(value);
}

void Pipeline::check_not_null() {
    take_answers();
    if (!stream_[index_].not_null) return;
    for (int32_t row : good_rows_) {
        if (columns_[index_].is_null(row))
            reject(row, "a generated column that is NOT NULL is null");
    }
    take_answers();
}

const Column* Pipeline::event_times() const {
    return event_time_ < 0 ? nullptr : &columns_[static_cast<size_t>(event_time_)];
}

void Pipeline::check_event_times() {
    if (event_time_ < 0) return;
    for (int32_t row : good_rows_) {
        Error error = check_event_time(*event_times(), row, now_us_, max_future_us_);
        if (error) reject(row, *error);
    }
    take_answers();
}

void Pipeline::begin_tables() {
    phase_ = Phase::kTables;
    index_ = 0;
    for (size_t t = 0; t < tables_.size(); t++) {
        if (!takes_part(t)) continue;
        tables_[t].batch->begin(rows_, good_rows_, event_times());
        tables_[t].keys->end_batch();
    }
}

bool Pipeline::takes_part(size_t table) const {
    return tables_[table].state != nullptr &&
           (only_table_ == kAllTables || static_cast<size_t>(only_table_) == table);
}

bool Pipeline::run_tables() {
    for (; index_ < tables_.size(); index_++) {
        if (takes_part(index_) && tables_[index_].batch->run(columns_)) return true;
    }
    return false;
}

void Pipeline::fold() {
    for (size_t t = 0; t < tables_.size(); t++) {
        if (takes_part(t)) tables_[t].batch->fold(*tables_[t].keys);
    }
    int32_t row = 0;
    for (int32_t m = 0; m < rows_.batch->size();) m = tell_clocks(m, &row);
    if (only_table_ == kAllTables) move_positions();
}

// Messages of a partition lie together: the clocks hear of the smallest and the largest event time
// of a run. Takes it from *row on; returns where the next run begins.
int32_t Pipeline::tell_clocks(int32_t message, int32_t* row) {
    const Column* times = event_times();
    const MessageBatch& batch = *rows_.batch;
    int32_t partition = batch[message].partition;
    int64_t first = INT64_MAX;
    int64_t last = kNoTime;
    bool any_good = false;
    for (; message < batch.size() && batch[message].partition == partition; message++) {
        bool has_rows = *row < rows_.size() && rows_.message_at(*row) == message;
        any_good = any_good || !has_rows;
        for (; *row < rows_.size() && rows_.message_at(*row) == message; ++*row) {
            if (rejected_[static_cast<size_t>(*row)] != 0) continue;
            any_good = true;
            if (times == nullptr) continue;
            first = std::min(first, times->int_at(*row));
            last = std::max(last, times->int_at(*row));
        }
    }
    if (only_table_ == kAllTables) tell_source(partition, any_good, first, last);
    if (last == kNoTime) return message;
    for (size_t t = 0; t < tables_.size(); t++) {
        if (takes_part(t)) tables_[t].state->clock().message(partition, last);
    }
    return message;
}

void Pipeline::tell_source(int32_t partition, bool any_good, int64_t first_us, int64_t last_us) {
    if (!any_good) {
        source_.bad_message(partition);
        return;
    }
    source_.message(partition, last_us);
    if (last_us != kNoTime) source_.message(partition, first_us);
}

void Pipeline::move_positions() {
    // From the back: the last message of each partition is the one to remember.
    int32_t moved = -1;
    const MessageBatch& batch = *rows_.batch;
    for (int32_t m = batch.size() - 1; m >= 0; m--) {
        const Message& message = batch[m];
        if (message.partition == moved) continue;
        moved = message.partition;
        PartitionProgress& position = position_at(message.partition);
        if (position.last_offset >= message.offset && position.next_offset > message.offset) {
            continue;
        }
        position.next_offset = message.offset + 1;
        position.last_offset = message.offset;
        position.last_hash =
            message_hash(message.timestamp_ms, batch.key(m).data(), message.key_size,
                         batch.value(m).data(), message.value_size);
        positions_moved_ = true;
    }
}

// ---- commit ----

bool Pipeline::has_open_windows() const {
    return std::any_of(tables_.begin(), tables_.end(), [](const Table& table) {
        return table.state && table.state->has_open_windows();
    });
}

bool Pipeline::has_uncommitted() const {
    if (positions_moved_ || !log_.empty()) return true;
    return std::any_of(tables_.begin(), tables_.end(), [](const Table& table) {
        return table.state && table.state->has_changes();
    });
}

bool Pipeline::wants_commit(int64_t now_us) const {
    if (has_uncommitted()) return true;
    return std::any_of(tables_.begin(), tables_.end(), [&](const Table& table) {
        if (!table.state) return false;
        return table.state->closes_at(table.state->clock().watermark_at(source_, now_us));
    });
}

void Pipeline::prepare_commit(int64_t now_us) {
    for (Table& table : tables_) {
        if (!table.state) continue;
        int64_t watermark = table.state->clock().watermark_at(source_, now_us);
        table.state->prepare_commit(positions_, watermark);
    }
}

void Pipeline::committed() {
    for (Table& table : tables_) {
        if (table.state) table.state->committed();
    }
    log_.clear();
    positions_moved_ = false;
}

size_t Pipeline::memory_bytes() const {
    size_t bytes = arena_.bytes_reserved() + log_.memory_bytes();
    for (const Column& column : columns_) {
        bytes += column.cells.capacity() * sizeof(uint64_t) + column.nulls.capacity();
    }
    for (const Table& table : tables_) {
        if (table.state) bytes += table.state->memory_bytes();
    }
    return bytes;
}

}  // namespace anomaly
