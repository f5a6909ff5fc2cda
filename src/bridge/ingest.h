// One reader of a topic and the continuous tables it feeds (possibly none: then it is a peek).
//
// The caller drives everything; nothing here calls up, blocks, or touches PostgreSQL. All functions
// are noexcept over plain data. Time is the caller's: microseconds since 2000-01-01 UTC.
//
//   open, add tables, restore their checkpoints, start
//   loop:  poll           takes a batch, if there is one
//          next / answers decodes it; what only PostgreSQL can compute, until next says kNothing;
//                         then the batch has been folded into the tables' state
//          prepare_commit when the caller wants to commit; changes(), write them, committed()
//          wait           on fd, when poll found nothing, at most until deadline_us
#pragma once

#include <cstdint>

#include "bridge/status.h"
#include "core/spec.h"

namespace anomaly::bridge {

struct Ingest;

struct Property {
    const char* name;  // librdkafka's own, with dots
    const char* value;
};

struct IngestOptions {
    const Property* properties;
    int32_t property_count;
    int32_t batch_rows;   // at most so many messages a batch
    int64_t batch_bytes;  // and about so many bytes
    bool database_is_utf8;
};

Status ingest_open(const StreamSpec& stream, const IngestOptions& options, Ingest** out) noexcept;
void ingest_close(Ingest* ingest) noexcept;  // nullptr is fine; see bridge/ending.h

// An eventfd: readable when there may be something to poll. Clear it by polling until kNothing.
int ingest_fd(const Ingest* ingest) noexcept;

// ---- tables; before start, or between commits ----

Status ingest_add_table(Ingest* ingest, const TableSpec& spec, const TableProgress& progress,
                        int32_t* table) noexcept;
// Feeds back one row of the table's checkpoint log: snapshots first (each shard's newest), then the
// deltas in order of (sequence, part).
Status ingest_restore(Ingest* ingest, int32_t table, const CheckpointRow& row) noexcept;
Status ingest_restore_done(Ingest* ingest, int32_t table) noexcept;
// The keys of the groups there are, part by part: key_count columns, valid until the next call for
// this table, a commit or a batch.
constexpr int32_t kGroupKeyParts = 64;
Status ingest_group_keys(const Ingest* ingest, int32_t table, int32_t part,
                         const ColumnView** keys) noexcept;
void ingest_remove_table(Ingest* ingest, int32_t table) noexcept;

// Begins to read at the first table's positions; a peek: where the caller says. Partitions that
// progress does not name start at `otherwise` (an offset, kOffsetBeginning, kOffsetEnd or
// kOffsetUnread).
Status ingest_start(Ingest* ingest, const PartitionProgress* from, int32_t count,
                    int64_t otherwise) noexcept;

// Nothing at or above the offset is read; where nothing lies below it, it is the position.
Status ingest_read_until(Ingest* ingest, int32_t partition, int64_t offset) noexcept;

// ---- two readers that meet ----

// Messages that `behind` has yet to read to be where `ahead` is (offsets; 0: equal or ahead). -1:
// one of them has not begun, and where it is is not known.
int64_t ingest_distance(const Ingest* behind, const Ingest* ahead) noexcept;
// Both read on only to the larger of their positions in each partition that both read. To be called
// again until they have met: one may find a partition before the other, or move on past a gap.
void ingest_meet(Ingest* a, Ingest* b) noexcept;
// Calls a meeting off: the reader reads on without a limit.
void ingest_part(Ingest* ingest) noexcept;
// True once both are there and neither has anything to commit.
bool ingest_met(const Ingest* a, const Ingest* b) noexcept;
// Moves the tables of `from` to `to`; *moved_by is what is added to the index of each. Afterwards
// `to` reads on without a limit and `from` can be closed.
Status ingest_join(Ingest* to, Ingest* from, int32_t* moved_by) noexcept;

// ---- the loop ----

enum class Broker : uint8_t { kStarting, kReachable, kUnreachable, kTopicMissing };

struct LostRange {
    int32_t partition;
    int64_t from_offset;  // first that was gone
    int64_t to_offset;    // first after
    const char* reason;
};

struct PollResult {
    bool has_batch;     // call next, or put_aside
    bool wants_commit;  // something changed that is not committed (rows, positions, watermark)
    bool drained;       // no message waits just now
    bool all_at_end;    // the broker confirmed the end of every partition
    Broker broker;
    const char* broker_error;  // the last one, "" if none; valid until the next poll
    int64_t deadline_us;       // poll again at this time even without the fd; INT64_MAX: never
    const LostRange* lost;     // since the last poll; to be written with the next commit
    int32_t lost_count;
};
Status ingest_poll(Ingest* ingest, int64_t now_us, PollResult* out) noexcept;

// From now on at most so many messages a batch.
void ingest_set_batch_rows(Ingest* ingest, int32_t rows) noexcept;
// Instead of a poll: messages that were put aside before, for one table alone. No position moves.
// Nothing may be left to commit, and the commit that follows is of these messages.
struct ReplayedMessage {
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    const char* value;
    int32_t value_size;  // -1: null
    const char* key;
    int32_t key_size;  // -1: null
};
Status ingest_replay(Ingest* ingest, int32_t table, const ReplayedMessage* messages, int32_t count,
                     int64_t now_us) noexcept;

enum class Need : uint8_t {
    kNothing,   // the batch is folded
    kDecode,    // rows whose message only PostgreSQL can judge: put_value or reject, each
    kEvaluate,  // rows of an expression: put_value or reject, each
};

struct Request {
    Need need;
    int32_t table;        // kEvaluate: whose expression, -1: a generated column of the stream
    int32_t expression;   // kEvaluate: number within the table (see ExpressionSlot), or the column
    const int32_t* rows;  // rows of the batch, ascending
    int32_t row_count;
};
Status ingest_next(Ingest* ingest, Request* out) noexcept;

// How `expression` of a request counts the expressions of a table: where, then each key, then for
// each aggregate its filter and its argument, then each output. Absent ones have their number too.
constexpr int32_t expression_where() {
    return 0;
}
constexpr int32_t expression_key(int32_t k) {
    return 1 + k;
}
constexpr int32_t expression_filter(const TableSpec& t, int32_t a) {
    return 1 + t.key_count + 2 * a;
}
constexpr int32_t expression_argument(const TableSpec& t, int32_t a) {
    return 2 + t.key_count + 2 * a;
}
constexpr int32_t expression_output(const TableSpec& t, int32_t o) {
    return 1 + t.key_count + 2 * t.aggregate_count + o;
}

// Answers to the current request. kDecode: `column` is the stream's column, one call for each used
// field column that is not NULL (the rest stay NULL). kEvaluate: column is ignored. Cells as in
// core/type.h; text is copied. A row that gets no answer, or no cells, is NULL.
Status ingest_put_value(Ingest* ingest, int32_t row, int32_t column,
                        const uint64_t* cells) noexcept;
Status ingest_reject(Ingest* ingest, int32_t row, const char* reason) noexcept;
// kDecode, of a stream whose messages hold rows: the first row of a message is the request's own;
// here is one more (*added is its number), or there is none at all. Say so before any put_value.
Status ingest_add_row(Ingest* ingest, int32_t row, int32_t* added) noexcept;
Status ingest_drop_row(Ingest* ingest, int32_t row) noexcept;
// kDecode, of formats that are made of texts: the row's text for a column. nullptr: NULL.
struct FieldText {
    const char* data;
    int32_t size;
};
FieldText ingest_field(const Ingest* ingest, int32_t row, int32_t column) noexcept;

// The batch at hand: columns by the stream's index (an unused one has no rows), raw messages.
ColumnView ingest_column(const Ingest* ingest, int32_t column) noexcept;
struct RawMessage {
    const char* value;  // nullptr: null
    int32_t value_size;
    const char* key;  // nullptr: null
    int32_t key_size;
    const char* headers;  // the text of a JSON object; empty where no column wants them
    int32_t headers_size;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
};
RawMessage ingest_message(const Ingest* ingest, int32_t row) noexcept;
// The first message of the batch, before it is decoded.
RawMessage ingest_first_message(const Ingest* ingest) noexcept;
// Instead of next: nothing looks into the messages of the batch; each becomes a dead letter of the
// stream with this reason.
Status ingest_put_aside(Ingest* ingest, const char* reason) noexcept;
// After next said kNothing: the rows that are good for the stream (for a peek).
void ingest_good_rows(const Ingest* ingest, const int32_t** rows, int32_t* count) noexcept;

// ---- aggregates that PostgreSQL folds; all of them before prepare_commit ----

// Slots of the groups that have values which are not in their state yet; valid until the next call.
Status ingest_pending_slots(Ingest* ingest, int32_t table, int32_t aggregate,
                            const uint32_t** slots, int32_t* count) noexcept;
// Views are valid until the answer.
struct PendingValues {
    const char* state;  // of the last ingest_put_state, size 0: none yet
    uint64_t state_size;
    const char* entries;  // as core/group/kept_values.h has them
    uint64_t entries_size;
};
PendingValues ingest_pending_values(const Ingest* ingest, int32_t table, int32_t aggregate,
                                    uint32_t slot) noexcept;
// The state with the values in it, which are forgotten.
Status ingest_put_state(Ingest* ingest, int32_t table, int32_t aggregate, uint32_t slot,
                        const char* state, uint64_t size) noexcept;

// ---- commit ----

// Moves the watermarks, closes windows, gathers the changes of all tables.
Status ingest_prepare_commit(Ingest* ingest, int64_t now_us) noexcept;
const TableChanges* ingest_changes(const Ingest* ingest, int32_t table) noexcept;
// Of a table with groups: makes columns of the rows from this one on.
Status ingest_show_rows(Ingest* ingest, int32_t table, int32_t first) noexcept;
// The next row that the table's checkpoint log is to be given with this commit, valid until the
// next call; nullptr: that was the last. Each comes once: a table of which not all were stored has
// to be removed.
Status ingest_next_checkpoint_row(Ingest* ingest, int32_t table,
                                  const CheckpointRow** row) noexcept;
// Then these deltas are to be removed from the log, and each shard's snapshots but its newest. They
// come once, too.
SequenceRange ingest_take_obsolete(Ingest* ingest, int32_t table) noexcept;
// Dead letters of the stream as a whole, messages that no table can take.
void ingest_dead_letters(const Ingest* ingest, const DeadLetter** letters, int32_t* count) noexcept;
// Where the reader is; equal to each table's progress but for event times.
void ingest_positions(const Ingest* ingest, const PartitionProgress** partitions,
                      int32_t* count) noexcept;
// Tells the broker the positions, as the offsets of the property group.id; for lag tools alone.
void ingest_mirror(Ingest* ingest) noexcept;
// What prepare_commit gathered is durable. A failed commit has no counterpart: close the reader and
// begin again from the tables.
Status ingest_committed(Ingest* ingest) noexcept;
// Closes every open window of the table with the next prepare_commit (the end of a replay).
void ingest_close_windows(Ingest* ingest, int32_t table) noexcept;

// ---- a reader that rests ----

// Since when there was nothing to be read, and time could change nothing either; INT64_MAX: that is
// not so.
int64_t ingest_quiet_since_us(const Ingest* ingest) noexcept;
struct RestPosition {
    int32_t partition;
    int64_t offset;
};
// Where it would rest: the ends of all partitions, as the broker has confirmed them. 0: it is not
// there, or there are more than `room`.
int32_t ingest_rest_positions(const Ingest* ingest, RestPosition* out, int32_t room) noexcept;
// Lets its client go; nothing is read until it is woken. All else can be done meanwhile.
void ingest_rest(Ingest* ingest) noexcept;
// Reads on where it was, if it rests.
Status ingest_wake(Ingest* ingest) noexcept;

// ---- figures for the status views ----

struct IngestStats {
    int64_t message_count;  // since open
    int64_t byte_count;
    int64_t dead_letter_count;
    int64_t memory_bytes;  // buffers, state, client queues
    int64_t lag;           // messages known to lie ahead, -1: not known
};
IngestStats ingest_stats(const Ingest* ingest) noexcept;

// What a group of such a table takes beside its key: states, its place in the table and the index.
struct GroupSize {
    int32_t bytes;
    bool keeps;  // and what aggregates keep of their input
};
Status group_size(const TableSpec& spec, GroupSize* size) noexcept;

// Memory of one table's state: groups and rows that wait for the commit.
int64_t ingest_table_bytes(const Ingest* ingest, int32_t table) noexcept;

// Next log line of the client library, at most 500 characters; false: none. Level as syslog.
bool ingest_log(Ingest* ingest, char* line, int32_t size, int32_t* level) noexcept;

}  // namespace anomaly::bridge
