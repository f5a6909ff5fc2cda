// What a stream worker holds while it runs: the continuous tables of its stream, and the readers
// that feed them. Tables at equal positions share a reader; one that is behind (new, failed and
// tried again) has a reader of its own until it meets the others.
#pragma once

#include "bridge/ingest.h"
#include "pg/definition.h"
#include "pg/referee.h"
#include "pg/stream.h"

namespace anomaly::pg {

struct TableWriter;
struct RuleSet;

struct RunTable {
    Oid relid;
    Oid owner;
    TableDefinition* definition;
    TableSpec* spec;
    bool emit_on_close;
    const char* start;  // option anomaly.start, NULL: the stream's startup
    int failures;       // failed commits in a row
    int64 retry_at_us;  // failing: when to try again
    TableProgress progress;  // as committed; only read when a reader is opened
    TableWriter* writer;
    RuleSet* rules;
    int index;               // in its reader
    struct RunReader* reader;  // NULL: failing
};

struct RunReader {
    bridge::Ingest* ingest;
    Referee* referee;
    MemoryContext context;      // of the referee
    int64 last_commit_us;
    int64 rows_since_commit;
    bool wants_commit;
    bool drained;
    bool broker_down;
    int64 deadline_us;
    RunReader* meeting;  // the reader it is about to join, or that is about to join it
};

constexpr int kMaxReaders = 16;

struct StreamRun {
    Oid stream;
    MemoryContext context;  // lives until the run is loaded again
    StreamDefinition* definition;
    RunTable* tables;
    int table_count;
    RunReader* readers[kMaxReaders];
    int reader_count;
};

// Reads the stream, its tables and rules from the catalog. Needs a transaction; the result lives in
// run->context. False: there is nothing to do (no table, or no such stream).
bool load_run(StreamRun* run);

// Opens a reader for these tables (all at equal positions), restores their state from the
// checkpoint log and begins to read. Opens transactions of its own.
RunReader* open_reader(StreamRun* run, RunTable** tables, int count);
void close_reader(StreamRun* run, RunReader* reader);

// A referee that knows the expressions of all tables now in the reader.
void renew_referee(StreamRun* run, RunReader* reader);

// Commits what the reader has gathered, all tables in one transaction. A table whose part fails is
// left behind as failing. Returns false if the extension or the stream is gone.
bool commit_reader(StreamRun* run, RunReader* reader);

// Microseconds since 2000-01-01 UTC, now.
inline int64 now_us() {
    return GetCurrentTimestamp();
}

}  // namespace anomaly::pg
