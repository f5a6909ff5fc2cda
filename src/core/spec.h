// What a stream and a continuous table are, as the PostgreSQL side hands it down. Plain data:
// pointers belong to the caller and are copied by whoever keeps them.
#pragma once

#include <cstdint>

#include "core/expr.h"
#include "core/type.h"

namespace anomaly {

struct ZoneChange {
    int64_t at_us;
    int64_t offset_us;  // from then on: local time less UTC
};

struct ZoneSpec {
    int64_t first_offset_us;    // before the first change
    const ZoneChange* changes;  // ascending
    int32_t change_count;
    bool repeats;  // after the last change its last 400 years come again and again
};

// Where a stream's column comes from.
enum class Source : uint8_t {
    kField,      // a field of the message
    kGenerated,  // GENERATED ALWAYS AS
    kTopic,      // metadata, from here on
    kPartition,
    kOffset,
    kTimestamp,
    kKey,
    kHeaders,
};

// Of a number that is a time since 1970-01-01 00:00 UTC.
enum class TimeUnit : uint8_t { kNone, kSecond, kMillisecond, kMicrosecond, kNanosecond };

struct StreamColumnSpec {
    const char* const* path;  // kField: the names to descend, outermost first
    int32_t path_count;
    Type type;
    Source source;
    bool not_null;
    bool used;                   // some query wants it as a column; otherwise it is only checked
    ExprSpec generated;          // kGenerated
    const char* name = nullptr;  // of the column, for words
    bool of_message = false;     // kField of a stream with rows_path: not of the row's own
    TimeUnit unit = TimeUnit::kNone;  // kField, kTimestamptz or kTimestamp
    // Of the type, -1: without. kNumeric: precision and scale; kText: length in characters in
    // precision; kTimestamptz, kTimestamp: digits of the fraction in precision.
    int32_t precision = -1;
    int32_t scale = -1;
};

enum class Format : uint8_t { kJson, kCsv, kRaw };

struct CsvSpec {
    char delimiter;
    char quote;
    char escape;
    bool has_header;        // the first line of each message is no row
    const char* null_text;  // what stands for NULL where it is not quoted
};

struct StreamSpec {
    const char* topic;
    const StreamColumnSpec* columns;
    int32_t column_count;
    int32_t event_time;  // index of a kTimestamptz column, -1: none
    int64_t watermark_delay_us;
    int64_t idle_timeout_us;
    int64_t max_future_us;
    Format format = Format::kJson;
    CsvSpec csv = {};
    // kJson: a message is an array somewhere in it, each element is a row.
    bool has_rows = false;
    // The names to descend to the array. rows_are_native false: the way there is not that simple,
    // and PostgreSQL takes every message apart.
    const char* const* rows_path = nullptr;
    int32_t rows_path_count = 0;
    bool rows_are_native = true;
    ZoneSpec zone = {};  // of times without a zone; UTC if nothing is set
};

enum class AggregateKind : uint8_t {
    kCountStar,
    kCount,
    kSum,
    kAvg,
    kMin,
    kMax,
    kBoolAnd,
    kBoolOr,
    kVarPop,  // of floats
    kVarSamp,
    kStddevPop,
    kStddevSamp,
    kCountDistinct,
    // What PostgreSQL's own functions compute, of values that core keeps
    // (core/group/kept_values.h).
    kKept,
    kKeptDistinct,
    kFolded,
    kFirst,  // by event time (core/group/kept_row.h)
    kLast,
};

// Result type by kind and argument, as PostgreSQL's: count: kInt8; sum of int2, int4: kInt8, of
// int8: kInt128, of float4: kFloat4, of float8: kFloat8; avg of integers: kInt128Ratio, of floats:
// kFloat8; the variances: kFloat8; min, max: the argument's type (text in the C collation);
// bool_and, bool_or: kBool; count(DISTINCT): kInt8; what PostgreSQL computes: kOpaque, the entries
// or the state that are kept, NULL: none.
struct AggregateSpec {
    AggregateKind kind;
    bool has_filter;
    ExprSpec argument;  // unused for kCountStar
    ExprSpec filter;
};

// ---- windows ----

// What windows are counted in. Days and months are those of a time zone.
enum class WindowUnit : uint8_t { kMicroseconds, kDays, kMonths };

// Windows begin each `slide` and are `size` long (tumble: the same), both in units.
struct WindowSpec {
    WindowUnit unit;
    int64_t slide;
    int64_t size;
    // Added to the origin: 1970-01-01 00:00 UTC, or local, of days Monday 2000-01-03, of months
    // 2000-01-01.
    int64_t offset_us;
    int64_t offset_months;  // kMonths
    ZoneSpec zone;          // kDays, kMonths
};

// A time lies in no more windows than this.
constexpr int64_t kWindowsAtOnceMax = 10000;

enum class TableKind : uint8_t {
    kFilter,        // no GROUP BY and no aggregate: rows are appended
    kWindowed,      // groups of a window
    kRunningTotal,  // GROUP BY without a window; no keys and aggregates: one row, there from the
                    // start
};

constexpr int64_t kForEver = -1;
constexpr int32_t kWindowColumn = -1;

struct TableSpec {
    uint32_t id;  // the table's oid; names it in errors only
    TableKind kind;
    bool emit_on_close;  // kWindowed: rows appear once, final
    WindowSpec window;   // kWindowed
    int64_t allowed_lateness_us;
    int64_t retention_us;  // kWindowed: rows go when the watermark is so far past their window's
                           // end; kForEver: never
    bool has_where;
    ExprSpec where;
    const ExprSpec* keys;  // kWindowed, kRunningTotal: group keys without window_start, window_end
    int32_t key_count;
    const AggregateSpec* aggregates;
    int32_t aggregate_count;
    const ExprSpec* outputs;  // kFilter: the values of each appended row
    int32_t output_count;
    // The columns by which a commit's rows are put into order: numbers of keys, or kWindowColumn.
    const int32_t* row_order = nullptr;
    int32_t row_order_count = 0;
};

// ---- progress of one table: where it is in the topic, and in event time ----

constexpr int64_t kOffsetBeginning = -2;  // as librdkafka's logical offset
constexpr int64_t kOffsetEnd = -1;
constexpr int64_t kOffsetUnread = -3;   // partitions that are not named are left alone
constexpr int64_t kNoTime = INT64_MIN;  // no event time, no watermark yet

struct PartitionProgress {
    int32_t partition;
    int64_t next_offset;     // first offset not yet taken in, or kOffsetBeginning, kOffsetEnd
    int64_t last_offset;     // of the last message taken in, -1: none
    uint64_t last_hash;      // of that message (key, value, timestamp)
    int64_t max_event_time;  // largest seen in good messages there, kNoTime: none
};

struct TableProgress {
    const PartitionProgress* partitions;
    int32_t partition_count;
    int64_t watermark;  // committed; kNoTime: none
    int64_t sequence;   // number of the last commit of this table's checkpoint log, 0: none
};

// ---- the checkpoint log of one table ----

enum class CheckpointKind : uint8_t {
    kDelta = 1,     // the groups that one commit changed
    kSnapshot = 2,  // all groups of one hash shard as of a commit
};

struct CheckpointRow {
    CheckpointKind kind;
    int32_t shard;     // kSnapshot: which
    int64_t sequence;  // of the commit
    int32_t part;      // 0, 1, 2, ... within (kind, shard, sequence)
    const char* data;
    int32_t size;
};

// At most. So a row fills a page of PostgreSQL's, and none is cut again into a table beside it.
constexpr int32_t kCheckpointRowBytes = 8000;
// Whoever stores a row may write so many bytes before its data, such as its length; they begin at a
// multiple of as many.
constexpr int32_t kCheckpointRoomBytes = 4;

// Commits [from, below) of a table; none where they are equal.
struct SequenceRange {
    int64_t from;
    int64_t below;
};

// ---- what one commit writes for one table ----

enum RowFlag : uint8_t {
    kRowNew = 1,        // no earlier commit wrote a row of this group
    kRowClosed = 2,     // its window is final with this commit
    kRowFailed = 4,     // an aggregate of it cannot be computed (overflow): it has no row now
    kRowUnchanged = 8,  // closed, but what an earlier commit wrote of it is still right
};

// However many rows a commit writes, only so many are columns at a time.
constexpr int32_t kRowsShown = 2048;

struct RowCounts {
    int32_t count;
    int64_t first_window_end;  // where count > 0, kWindowed
    int64_t last_window_end;
};

struct LateRow {
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;  // Kafka's own, -1: none
    int64_t window_start;  // missed
    int64_t window_end;
    const char* value;  // the raw message; nullptr: null
    int32_t value_size;
};

struct DeadLetter {
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    const char* reason;
    const char* value;  // nullptr: null
    int32_t value_size;
    const char* key;  // nullptr: null
    int32_t key_size;
};

struct TableChanges {
    // Groups changed since the last commit or whose window closed with this one (emit on close:
    // only the latter), in row_order. Views are valid until the commit is acknowledged.
    int32_t row_count;
    RowCounts closed;
    RowCounts changed;     // all but those that are unchanged
    const uint8_t* flags;  // RowFlag, one per row; kRowFailed only once the row has been shown
    // Of the kRowsShown rows from first_shown on; other ones are shown when asked for.
    int32_t first_shown;
    const int64_t* window_starts;  // kWindowed
    const int64_t* window_ends;
    const ColumnView* keys;        // key_count
    const ColumnView* aggregates;  // aggregate_count
    // kFilter: rows to append, with the message each comes from
    const ColumnView* outputs;  // output_count
    const int32_t* partitions;
    const int64_t* offsets;

    const LateRow* late_rows;
    int32_t late_row_count;
    const DeadLetter* dead_letters;  // those of this table alone
    int32_t dead_letter_count;

    TableProgress progress;  // to be stored; sequence is this commit's

    // kWindowed: rows of windows that start, or what is the same end, no later than this are to be
    // removed; kNoTime: none.
    int64_t gone_start;
    int64_t gone_end;

    int64_t open_groups;  // figures for the status view
    int64_t open_windows;
    int64_t memory_bytes;
};

}  // namespace anomaly
