// A stream: a foreign table of the wrapper anomaly_kafka, read from the catalogs into the spec that
// the bridge is given. Columns are counted as attribute number - 1 throughout; a dropped column
// stays in its place as an unused one of the metadata, which no message can make bad.
#pragma once

#include "bridge/ingest.h"
#include "core/spec.h"
#include "pg/pg.h"
#include "pg/value/cell_codec.h"

namespace anomaly::pg {

enum class StartupKind : uint8_t {
    kEarliest,
    kLatest,   // the ends of the topic, to be resolved once and stored
    kOffsets,  // `partitions`; others from their beginning
    kTime,     // the first message at or after from_ms, to be resolved once and stored
};

struct Startup {
    StartupKind kind;
    const PartitionProgress* partitions;
    int partition_count;
    int64 from_ms;  // kTime: since 1970
};

struct StreamDefinition {
    Oid relation;
    Oid owner;
    Oid server;
    const char* name;        // qualified and quoted, for messages
    TupleDesc descriptor;    // a copy, not reference-counted
    const CellType* types;   // by column
    Node* const* generated;  // by column, Vars of varno 1; NULL: not a generated column
    StreamSpec spec;
    const char* rows_jsonpath;           // spec.has_rows
    const char* settings;                // under which PostgreSQL reads its messages, as json
    const bridge::Property* properties;  // for the client library; holds secrets: never shown
    int property_count;
    bool has_group;  // option group_id
    Startup startup;
};

// Reads the definition in the current memory context; raises an error for what is not a stream.
// used_columns (by column; NULL: all) says what some query wants; generated columns, what they
// read, and the event time are always used, since they decide whether a message is good.
// Secrets come from the user mapping of the stream's owner, if there is one.
StreamDefinition* load_stream(Oid foreign_table, const bool* used_columns);

// What it takes to get to its topic, alone.
struct StreamSource {
    const char* topic;
    const bridge::Property* properties;
    int property_count;
};
StreamSource load_source(Oid foreign_table);

// Is this a foreign table of our wrapper?
bool is_stream(Oid relation);
// Raises an error unless it is.
void require_stream(Oid relation);

// Is the expression the stream's event_time column?
bool is_event_time_column(Oid stream, Index stream_varno, const Node* expr);

// A startup position as the option gives it: earliest, latest, a timestamp, or a JSON object of
// partitions and offsets such as '{"0": 12, "1": 5}'. Raises an error.
Startup parse_startup(const char* text);
constexpr const char kStartupHint[] =
    "It is earliest, latest, a timestamp such as 2026-01-31 12:00:00+00, or the first offset of "
    "each partition such as {\"0\": 12, \"1\": 5}.";

}  // namespace anomaly::pg
