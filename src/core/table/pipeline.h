// One batch's way through core: decoded, checked, evaluated for each table, folded into their
// states; and what the next commit of all of them writes. The bridge forwards to it.
//
// What only PostgreSQL can compute comes out as requests, phase by phase: messages to decode, then
// generated columns of the stream, then each table's expressions. No clock, no Kafka. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/data/row_log.h"
#include "core/decode/decoder.h"
#include "core/spec.h"
#include "core/table/table_batch.h"
#include "core/table/table_state.h"
#include "core/time/source_clock.h"

namespace anomaly {

struct PipelineRequest {
    enum class Kind : uint8_t { kNothing, kDecode, kEvaluate };
    static constexpr int32_t kStream = -1;

    Kind kind = Kind::kNothing;
    int32_t table = kStream;  // kEvaluate: whose expression; kStream: a generated column
    int32_t expression = 0;   // number within the table, or the column
    const std::vector<int32_t>* rows = nullptr;
};

class Pipeline {
  public:
    Pipeline(const StreamSpec& stream, bool database_is_utf8);

    // ---- tables and positions ----
    Error add_table(const TableSpec& spec, const TableProgress& progress, int32_t* index);
    void remove_table(int32_t index);
    int32_t table_count() const { return static_cast<int32_t>(tables_.size()); }
    const TableState* table(int32_t index) const {
        return tables_[static_cast<size_t>(index)].state.get();
    }
    TableState* table(int32_t index) { return tables_[static_cast<size_t>(index)].state.get(); }
    // A message goes into at most so many windows of one table.
    int64_t windows_at_once() const;
    // Takes over the tables of a pipeline of the same stream that is at the same positions and has
    // nothing to commit.
    void take_tables(Pipeline& from);

    // Where the partition was, for commits before the broker has told of it.
    void remember(const PartitionProgress& position) { position_at(position.partition) = position; }
    // Where the partition is read from now on, before any message of it. It counts from now on.
    void assign(const PartitionProgress& start);
    // Nothing lies between the position and the offset (or it is lost): goes on from there.
    void advance(int32_t partition, int64_t next_offset);
    const std::vector<PartitionProgress>& positions() const { return positions_; }
    const PartitionProgress* position(int32_t partition) const;
    SourceClock& source() { return source_; }
    const SourceClock& source() const { return source_; }

    // ---- a batch ----
    // Takes the batch in without a look into it: each message becomes a dead letter.
    void put_aside(const MessageBatch& batch, std::string_view reason);
    static constexpr int32_t kAllTables = -1;
    // The batch is finished and stays as it is until the next begin. None may be at hand. With
    // only_table it holds messages that were put aside before: that table takes them in, and no
    // position moves.
    void begin(const MessageBatch& batch, int64_t now_us, int32_t only_table = kAllTables);
    // Goes on until something is wanted of PostgreSQL, or the batch is folded.
    PipelineRequest next();
    // Answers to the current request. A row without an answer has NULL.
    void put_value(int32_t row, int32_t column, const uint64_t* cells);
    void reject(int32_t row, std::string_view reason);
    // kDecode, of a stream whose messages hold rows: the message of the row holds one more, whose
    // number is returned; it holds none.
    int32_t add_row(int32_t row);
    void drop_row(int32_t row);
    // kDecode: the text that the row has for the column, for formats that are made of texts.
    TextField field(int32_t row, int32_t column) const { return decoder_->field(row, column); }

    // Of the last begin.
    const MessageRows& rows() const { return rows_; }
    const std::vector<Column>& columns() const { return columns_; }
    const std::vector<int32_t>& good_rows() const { return good_rows_; }

    // ---- commit ----
    // Something was taken in, or a position moved, since the last commit.
    bool has_uncommitted() const;
    // That, or a window closes at this time.
    bool wants_commit(int64_t now_us) const;
    void prepare_commit(int64_t now_us);
    const std::vector<DeadLetter>& dead_letters() const { return log_.dead(); }
    void committed();
    // Some table has a window that time alone can close.
    bool has_open_windows() const;

    int64_t dead_letter_count() const { return dead_letter_count_; }
    size_t memory_bytes() const;

  private:
    enum class Phase : uint8_t { kIdle, kDecode, kGenerated, kTables };
    struct StreamColumn {
        Source source;
        bool not_null;
        Expression generated;
    };
    struct Table {
        std::unique_ptr<TableState> state;  // nullptr: removed
        std::unique_ptr<TableBatch> batch;
        std::shared_ptr<EncodedKeys> keys;  // shared by those that group by the same columns
    };

    bool run_generated();
    bool run_tables();
    void take_answers();
    void arrange_rows();
    bool is_decoded(size_t column) const;
    void evaluate_generated();
    void check_not_null();
    void check_event_times();
    void begin_tables();
    bool takes_part(size_t table) const;
    void keep(Table table);
    void fold();
    void tell_source(int32_t partition, bool any_good, int64_t first_us, int64_t last_us);
    int32_t tell_clocks(int32_t message, int32_t* row);
    void move_positions();
    const Column* event_times() const;
    PartitionProgress& position_at(int32_t partition);
    PipelineRequest request(PipelineRequest::Kind kind, int32_t table, int32_t expression,
                            const std::vector<int32_t>& rows);

    std::vector<StreamColumn> stream_;
    int32_t event_time_;
    int64_t watermark_delay_us_;
    int64_t max_future_us_;
    std::unique_ptr<Decoder> decoder_;
    SourceClock source_;
    std::vector<PartitionProgress> positions_;  // ascending by partition
    bool positions_moved_ = false;
    std::vector<Table> tables_;
    RowLog log_;
    int64_t dead_letter_count_ = 0;

    // The batch at hand.
    MessageRows rows_;
    int64_t now_us_ = 0;
    int32_t only_table_ = kAllTables;
    Phase phase_ = Phase::kIdle;
    size_t index_ = 0;  // of the column, of the table
    Arena arena_;
    std::vector<Column> columns_;
    std::vector<int32_t> waiting_;
    std::vector<uint8_t> rejected_;  // by row
    bool any_rejected_ = false;      // since good_rows_ was last rid of them
    bool rows_are_added_ = false;    // or dropped
    std::vector<uint8_t> unsure_;
    std::vector<int32_t> good_rows_;
};

}  // namespace anomaly
