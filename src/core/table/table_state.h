// One continuous table: its groups or pending rows, its event time, what is late for it, and what
// its next commit writes. Owns all it hands out. One thread.
//
//   restore .. restore_done, then: fold batches; prepare_commit; changes; committed; fold ...
// Nothing may be folded between prepare_commit and committed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/data/message_rows.h"
#include "core/data/row_log.h"
#include "core/group/group_store.h"
#include "core/group/key_order.h"
#include "core/spec.h"
#include "core/table/checkpoint.h"
#include "core/table/checkpoint_commit.h"
#include "core/table/table_plan.h"
#include "core/time/source_clock.h"
#include "core/time/watermark.h"

namespace anomaly {

class TableState {
  public:
    // The plan has been checked.
    TableState(TablePlan plan, int64_t watermark_delay_us, const TableProgress& progress);

    Error restore(const CheckpointRow& row) { return restore_->add(row); }
    Error restore_done();

    TablePlan& plan() { return plan_; }
    TableClock& clock() { return clock_; }
    RowLog& log() { return log_; }

    // Short for "in range, and admitted without being late for any window", of most times.
    bool is_open_at(int64_t event_time_us) const {
        return event_time_us >= open_from_us_ && event_time_us < open_until_us_;
    }
    bool has_windows_in_range(int64_t event_time_us);
    // Logs the row as late for each of its windows that the last commit closed. False: none is left
    // for it to go into.
    bool admit(const MessageRows& batch, int32_t row, int64_t event_time_us);
    // Takes rows in, in their order. event_times: nullptr where the stream has none. values: by
    // number of the expression; a filter's value is looked at, an argument is only where it is
    // true. keys: of the batch, for whoever groups by the same columns.
    void fold(const MessageRows& batch, const std::vector<int32_t>& rows, const Column* event_times,
              const std::vector<const Column*>& values, EncodedKeys& keys);

    // Groups whose aggregate has values that PostgreSQL has to fold into its state; put_state
    // answers for each. To be asked before prepare_commit.
    void pending_slots(int32_t aggregate, std::vector<uint32_t>& slots) const;
    const GroupStore& store() const { return store_; }
    GroupStore& store() { return store_; }

    // The keys of all groups in a shard, a column for each; valid until the next call or commit.
    const ColumnView* group_keys(int32_t shard) const;

    // Something but the position changed since the last commit.
    bool has_changes() const;
    // A commit that moved the watermark there would close a window.
    bool closes_at(int64_t watermark_us);
    bool has_open_windows() const;
    void request_close() { close_requested_ = true; }
    int64_t windows_at_once() const { return plan_.windows ? plan_.windows->at_once() : 1; }

    // positions: where the reader is; event times are the table's own.
    void prepare_commit(const std::vector<PartitionProgress>& positions, int64_t watermark_us);
    const TableChanges& changes() const { return changes_; }
    // Makes columns of the rows from this one on, in place of those before.
    void show_rows(int32_t first);
    // The next row that the checkpoint log is to be given with this commit, valid until the next
    // call; nullptr: that was the last. Each comes once.
    const CheckpointRow* next_checkpoint_row() { return checkpoint_.next(); }
    // The deltas to be removed with this commit, after all its rows. Each comes once.
    SequenceRange take_obsolete() { return schedule_.take_obsolete(); }
    void committed();

    size_t memory_bytes() const;

  private:
    void fold_groups(const std::vector<int32_t>& rows, const Column* event_times,
                     const std::vector<const Column*>& values, EncodedKeys& keys);
    void add_to_piece(int32_t row, const Column* event_times);
    void fold_piece(const std::vector<const Column*>& values, EncodedKeys& keys);
    void fold_aggregate(int32_t a, const std::vector<const Column*>& values);
    void append_outputs(const MessageRows& batch, const std::vector<int32_t>& rows,
                        const std::vector<const Column*>& values);
    // A window is closed at the watermark if its start is not after this.
    int64_t last_closed_at(int64_t watermark_us);
    void advance_to(int64_t watermark_us);
    void gather_groups();
    uint8_t flag_row(uint32_t slot);
    int64_t window_end(uint32_t slot);
    void find_gone();
    void publish(int64_t sequence);

    TablePlan plan_;
    TableClock clock_;
    GroupStore store_;
    KeyOrder row_order_;
    SnapshotSchedule schedule_;
    std::unique_ptr<CheckpointRestore> restore_;  // until restore_done
    int64_t sequence_;                            // of the last commit
    int64_t last_closed_ = INT64_MIN;             // last_closed_at the watermark
    int64_t open_from_us_ = 0;                    // is_open_at
    int64_t open_until_us_ = 0;
    int64_t gone_committed_ = INT64_MIN;  // rows of windows that start by then are removed
    bool close_requested_ = false;
    RowLog log_;

    // Filters: rows to append.
    std::vector<Column> outputs_;
    std::vector<int32_t> output_partitions_;
    std::vector<int64_t> output_offsets_;
    Arena output_bytes_;

    // What group_keys last gave.
    mutable std::vector<Column> shard_keys_;
    mutable std::vector<ColumnView> shard_key_views_;

    // The commit at hand.
    TableChanges changes_ = {};
    std::vector<PartitionProgress> positions_;
    std::vector<int64_t> closing_;  // starts of windows
    int64_t gone_start_ = INT64_MIN;
    std::vector<uint32_t> row_slots_;
    std::vector<uint8_t> row_flags_;
    // Of the rows shown.
    std::vector<int64_t> row_starts_, row_ends_;
    std::vector<Column> key_columns_, aggregate_columns_;
    std::vector<uint8_t> failed_;
    std::vector<ColumnView> key_views_, aggregate_views_, output_views_;
    CheckpointCommit checkpoint_{store_, schedule_};

    // Scratch of fold. Groups are found and moved for a piece of the rows at a time, few enough
    // that what is found is still in the cache when the aggregates look at it.
    static constexpr size_t kPieceRows = 1024;
    std::vector<const Column*> key_values_;
    std::vector<int64_t> piece_starts_;  // of windows
    std::vector<int32_t> piece_rows_, chosen_rows_;
    std::vector<char*> piece_groups_, chosen_groups_;
};

}  // namespace anomaly
