#include "core/table/table_state.h"

#include <algorithm>

#include "core/data/column_copy.h"

namespace anomaly {

TableState::TableState(TablePlan plan, int64_t watermark_delay_us, const TableProgress& progress)
    : plan_(std::move(plan)),
      clock_(watermark_delay_us, progress),
      store_(plan_.key_types(), plan_.make_aggregates()),
      row_order_(plan_.key_types(), plan_.row_order),
      sequence_(progress.sequence) {
    if (plan_.windows) last_closed_ = last_closed_at(progress.watermark);
    int64_t first_open = last_closed_ == INT64_MIN ? INT64_MIN : last_closed_ + 1;
    restore_ = std::make_unique<CheckpointRestore>(store_, schedule_, first_open);
    for (int32_t o = 0; o < plan_.output_count; o++) {
        outputs_.emplace_back(plan_.at(plan_.output_at(o)).type);
    }
    positions_.assign(progress.partitions, progress.partitions + progress.partition_count);
}

Error TableState::restore_done() {
    Error error;
    if (plan_.kind != TableKind::kFilter) error = restore_->finish(sequence_, clock_.watermark());
    restore_.reset();
    // Aggregates without GROUP BY have their one row even over no messages.
    bool one_row = plan_.kind == TableKind::kRunningTotal && plan_.key_count == 0;
    if (!error && one_row && store_.groups().size() == 0) store_.touch(0, {}, 0);
    return error;
}

int64_t TableState::last_closed_at(int64_t watermark_us) {
    if (watermark_us == kNoTime) return INT64_MIN;
    return plan_.windows->last_start_over(watermark_us - plan_.allowed_lateness_us);
}

void TableState::advance_to(int64_t watermark_us) {
    clock_.advance_to(watermark_us);
    if (plan_.windows) last_closed_ = last_closed_at(clock_.watermark());
    open_from_us_ = open_until_us_ = 0;
}

bool TableState::has_windows_in_range(int64_t event_time_us) {
    if (!plan_.windows) return true;
    std::span<const Window> windows = plan_.windows->at(event_time_us);
    return windows.empty() ||
           (WindowRule::in_range(windows.front()) && WindowRule::in_range(windows.back()));
}

bool TableState::admit(const MessageRows& batch, int32_t row, int64_t event_time_us) {
    if (!plan_.windows) return true;
    std::span<const Window> windows = plan_.windows->at(event_time_us);
    if (windows.empty()) return false;
    if (windows.front().start_us > last_closed_) {
        open_from_us_ = plan_.windows->same_from_us();
        open_until_us_ = plan_.windows->same_until_us();
    }
    for (const Window& window : windows) {
        if (window.start_us > last_closed_) return true;
        log_.add_late(batch, row, window.start_us, window.end_us);
    }
    return false;
}

void TableState::fold(const MessageRows& batch, const std::vector<int32_t>& rows,
                      const Column* event_times, const std::vector<const Column*>& values,
                      EncodedKeys& keys) {
    if (plan_.kind == TableKind::kFilter) return append_outputs(batch, rows, values);
    for (int32_t a = 0; a < plan_.aggregate_count; a++) {
        store_.aggregate(static_cast<size_t>(a)).begin_batch(batch);
    }
    key_values_.clear();
    for (int32_t k = 0; k < plan_.key_count; k++) {
        key_values_.push_back(values[static_cast<size_t>(plan_.key_at(k))]);
    }
    keys.begin(key_values_, batch.size());
    fold_groups(rows, event_times, values, keys);
}

void TableState::fold_groups(const std::vector<int32_t>& rows, const Column* event_times,
                             const std::vector<const Column*>& values, EncodedKeys& keys) {
    for (int32_t row : rows) {
        add_to_piece(row, event_times);
        if (piece_rows_.size() >= kPieceRows) fold_piece(values, keys);
    }
    fold_piece(values, keys);
}

// A row goes into each of its windows that is open.
void TableState::add_to_piece(int32_t row, const Column* event_times) {
    if (!plan_.windows) {
        piece_starts_.push_back(0);
        piece_rows_.push_back(row);
        return;
    }
    for (const Window& window : plan_.windows->at(event_times->int_at(row))) {
        if (window.start_us <= last_closed_) continue;
        piece_starts_.push_back(window.start_us);
        piece_rows_.push_back(row);
    }
}

void TableState::fold_piece(const std::vector<const Column*>& values, EncodedKeys& keys) {
    store_.touch_all(piece_starts_, piece_rows_, keys, piece_groups_);
    for (int32_t a = 0; a < plan_.aggregate_count; a++) fold_aggregate(a, values);
    piece_groups_.clear();
    piece_starts_.clear();
    piece_rows_.clear();
}

void TableState::fold_aggregate(int32_t a, const std::vector<const Column*>& values) {
    const Column* argument = nullptr;
    if (plan_.at(plan_.argument_at(a)).present) {
        argument = values[static_cast<size_t>(plan_.argument_at(a))];
    }
    Aggregate& aggregate = store_.aggregate(static_cast<size_t>(a));
    if (!plan_.at(plan_.filter_at(a)).present) {
        aggregate.update(piece_groups_, piece_rows_, argument);
        return;
    }
    const Column& filter = *values[static_cast<size_t>(plan_.filter_at(a))];
    chosen_rows_.clear();
    chosen_groups_.clear();
    for (size_t i = 0; i < piece_rows_.size(); i++) {
        if (!is_true(filter, piece_rows_[i])) continue;
        chosen_rows_.push_back(piece_rows_[i]);
        chosen_groups_.push_back(piece_groups_[i]);
    }
    aggregate.update(chosen_groups_, chosen_rows_, argument);
}

void TableState::pending_slots(int32_t aggregate, std::vector<uint32_t>& slots) const {
    slots.clear();
    for (uint32_t slot : store_.changed()) {
        const char* group = store_.groups().row(slot);
        if (!store_.aggregate(static_cast<size_t>(aggregate)).pending(group).entries.empty()) {
            slots.push_back(slot);
        }
    }
}

void TableState::append_outputs(const MessageRows& batch, const std::vector<int32_t>& rows,
                                const std::vector<const Column*>& values) {
    for (int32_t row : rows) {
        output_partitions_.push_back(batch.message(row).partition);
        output_offsets_.push_back(batch.message(row).offset);
    }
    for (int32_t o = 0; o < plan_.output_count; o++) {
        const Column& from = *values[static_cast<size_t>(plan_.output_at(o))];
        append_rows(from, rows, outputs_[static_cast<size_t>(o)], output_bytes_);
    }
}

const ColumnView* TableState::group_keys(int32_t shard) const {
    store_.keys_of_shard(shard, shard_keys_);
    shard_key_views_.clear();
    for (const Column& column : shard_keys_) shard_key_views_.push_back(column.view());
    return shard_key_views_.data();
}

bool TableState::has_changes() const {
    return !store_.changed().empty() || !output_offsets_.empty() || !log_.empty() ||
           close_requested_;
}

bool TableState::has_open_windows() const {
    return plan_.kind == TableKind::kWindowed && store_.groups().window_count() > 0;
}

bool TableState::closes_at(int64_t watermark_us) {
    return has_open_windows() && store_.groups().first_window() <= last_closed_at(watermark_us);
}

void TableState::prepare_commit(const std::vector<PartitionProgress>& positions,
                                int64_t watermark_us) {
    if (watermark_us != kNoTime) advance_to(watermark_us);
    if (close_requested_ && has_open_windows()) {
        advance_to(plan_.windows->end_of(store_.groups().last_window()) +
                   plan_.allowed_lateness_us);
    }
    close_requested_ = false;
    positions_ = positions;
    for (PartitionProgress& p : positions_) p.max_event_time = clock_.max_event_time(p.partition);
    closing_.clear();
    changes_ = {};
    if (plan_.kind != TableKind::kFilter) {
        store_.sort_changed();
        gather_groups();
        show_rows(0);
        const int64_t last_closed = closing_.empty() ? INT64_MIN : closing_.back();
        checkpoint_.begin(sequence_ + 1, clock_.watermark(), last_closed);
    }
    find_gone();
    publish(sequence_ + 1);
}

void TableState::find_gone() {
    gone_start_ = INT64_MIN;
    if (!plan_.windows || plan_.retention_us == kForEver || clock_.watermark() == kNoTime) return;
    gone_start_ = plan_.windows->last_start_over(clock_.watermark() - plan_.retention_us);
}

namespace {

void count_row(RowCounts& counts, int64_t window_end) {
    bool first = counts.count++ == 0;
    counts.first_window_end = first ? window_end : std::min(counts.first_window_end, window_end);
    counts.last_window_end = first ? window_end : std::max(counts.last_window_end, window_end);
}

}  // namespace

int64_t TableState::window_end(uint32_t slot) {
    return plan_.windows ? plan_.windows->end_of(store_.groups().window_start(slot)) : 0;
}

// What the row of a group is, which is taken to be written.
uint8_t TableState::flag_row(uint32_t slot) {
    const int64_t end = window_end(slot);
    const bool written = store_.is_written(slot);
    uint8_t flags = written ? 0 : kRowNew;
    store_.set_written(slot);
    if (plan_.windows && store_.groups().window_start(slot) <= last_closed_) {
        flags |= kRowClosed;
        count_row(changes_.closed, end);
        if (written && !store_.is_changed(slot)) flags |= kRowUnchanged;
    }
    if ((flags & kRowUnchanged) == 0) count_row(changes_.changed, end);
    return flags;
}

void TableState::gather_groups() {
    row_slots_.clear();
    row_flags_.clear();
    if (plan_.windows) store_.groups().append_windows_up_to(last_closed_, closing_);
    for (int64_t start : closing_) store_.groups().append_slots_of_window(start, row_slots_);
    if (!plan_.emit_on_close) {
        row_slots_.reserve(row_slots_.size() + store_.changed().size());
        for (uint32_t slot : store_.changed()) {
            if (closing_.empty() || store_.groups().window_start(slot) > last_closed_) {
                row_slots_.push_back(slot);
            }
        }
    }
    const GroupRows& rows = store_.groups().rows();
    row_order_.sort(rows, row_slots_);
    row_flags_.reserve(row_slots_.size());
    for (size_t i = 0; i < row_slots_.size(); i++) {
        rows.prefetch_ahead(row_slots_, i);
        row_flags_.push_back(flag_row(row_slots_[i]));
    }
}

void TableState::show_rows(int32_t first) {
    const size_t from = static_cast<size_t>(first);
    const size_t count = std::min(row_slots_.size() - from, size_t{kRowsShown});
    const std::span<const uint32_t> slots(row_slots_.data() + from, count);
    store_.columns(slots, key_columns_, aggregate_columns_, failed_);
    row_starts_.clear();
    row_ends_.clear();
    for (size_t i = 0; i < count; i++) {
        if (failed_[i] != 0) row_flags_[from + i] |= kRowFailed;
        row_starts_.push_back(store_.groups().window_start(slots[i]));
        row_ends_.push_back(window_end(slots[i]));
    }
    auto show = [](const std::vector<Column>& columns, std::vector<ColumnView>& views) {
        views.clear();
        for (const Column& column : columns) views.push_back(column.view());
    };
    show(key_columns_, key_views_);
    show(aggregate_columns_, aggregate_views_);
    const bool windowed = plan_.kind == TableKind::kWindowed;
    changes_.first_shown = first;
    changes_.window_starts = windowed ? row_starts_.data() : nullptr;
    changes_.window_ends = windowed ? row_ends_.data() : nullptr;
    changes_.keys = key_views_.data();
    changes_.aggregates = aggregate_views_.data();
}

void TableState::publish(int64_t sequence) {
    bool filter = plan_.kind == TableKind::kFilter;
    output_views_.clear();
    for (const Column& column : outputs_) output_views_.push_back(column.view());
    changes_.row_count = static_cast<int32_t>(filter ? output_offsets_.size() : row_slots_.size());
    changes_.flags = filter ? nullptr : row_flags_.data();
    if (filter) changes_.changed.count = changes_.row_count;
    changes_.outputs = output_views_.data();
    changes_.partitions = filter ? output_partitions_.data() : nullptr;
    changes_.offsets = filter ? output_offsets_.data() : nullptr;
    bool gone = gone_start_ > gone_committed_;
    changes_.gone_start = gone ? gone_start_ : kNoTime;
    changes_.gone_end = gone ? clock_.watermark() - plan_.retention_us : kNoTime;
    changes_.late_rows = log_.late().data();
    changes_.late_row_count = static_cast<int32_t>(log_.late().size());
    changes_.dead_letters = log_.dead().data();
    changes_.dead_letter_count = static_cast<int32_t>(log_.dead().size());
    changes_.progress = {positions_.data(), static_cast<int32_t>(positions_.size()),
                         clock_.watermark(), sequence};
    changes_.open_groups = static_cast<int64_t>(store_.groups().size()) - changes_.closed.count;
    changes_.open_windows =
        plan_.kind == TableKind::kWindowed
            ? store_.groups().window_count() - static_cast<int64_t>(closing_.size())
            : 0;
    changes_.memory_bytes = static_cast<int64_t>(memory_bytes());
}

void TableState::committed() {
    sequence_++;
    gone_committed_ = std::max(gone_committed_, gone_start_);
    store_.clear_changed();
    for (int64_t start : closing_) store_.free_window(start);
    closing_.clear();
    row_slots_ = {};
    row_flags_ = {};
    log_.clear();
    for (Column& column : outputs_) column.assign_nulls(0);
    output_partitions_.clear();
    output_offsets_.clear();
    output_bytes_.reset();
    changes_ = {};
}

size_t TableState::memory_bytes() const {
    size_t bytes = store_.memory_bytes() + log_.memory_bytes() + output_bytes_.bytes_reserved();
    for (const Column& column : outputs_) {
        bytes += column.cells.capacity() * sizeof(uint64_t) + column.nulls.capacity();
    }
    return bytes;
}

}  // namespace anomaly
