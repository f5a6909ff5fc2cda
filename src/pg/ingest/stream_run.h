// What a stream worker holds while it runs: the continuous tables of its stream, and the readers
// that feed them. Tables at equal positions share a reader; one that is behind (new, failed and
// tried again) has a reader of its own until it meets the others.
#pragma once

#include "bridge/ingest.h"
#include "pg/evaluate/referee.h"
#include "pg/query/definition.h"
#include "pg/shared/lock_limit.h"
#include "pg/shared/shmem_rest.h"
#include "pg/stream/stream.h"

namespace anomaly::pg {

struct TableWriter;
struct RuleSet;

struct RunTable {
    Oid relid;
    Oid owner;
    const char* settings;  // in force when it was created, as json
    List* views;           // through which it reads
    uint64 rights;         // generation of the rights at which it was found that it may read
    TableTerms terms;
    bool is_loaded;               // false: the definition raises an error; no more is known of it
    TableDefinition* definition;  // and spec, identities, writer, rules: where it is loaded
    TableSpec* spec;
    struct KeyIdentity** identities;  // one per key, NULL: core compares it
    bool emit_on_close;
    const char* start;    // option anomaly.start, NULL: the stream's startup
    int failures;         // failed commits in a row
    int64 retry_at_us;    // failing or waiting: when to try again
    bool is_due;          // to be opened now
    int64 needs_bytes;    // failing for want of memory: so much state is to be restored, 0: not
    int lock_waits;       // how often in a row a lock could not be had, 0: it is not waiting
    AwaitedLock awaited;  // the last such lock
    TimestampTz waits_since;
    int recent_waits;  // how often it was left behind lately, waited_at the last time
    TimestampTz waited_at;
    TableProgress progress;  // as committed; only read when a reader is opened
    bool close_requested;    // anomaly.close_windows was asked for
    bool has_replays;        // anomaly.replay_dead_letters was asked for
    TableWriter* writer;
    RuleSet* rules;
    int index;                 // in its reader
    struct RunReader* reader;  // NULL: failing, or waiting for a lock
};

// Ranges that were gone, kept from the poll that saw them to the next commit.
struct LostRecords {
    bridge::LostRange* ranges;  // each with a reason of its own
    int count;
    int capacity;
};

struct RunReader {
    bridge::Ingest* ingest;
    Referee* referee;
    MemoryContext context;  // of the referee and this reader
    LostRecords* lost;
    int64 last_commit_us;
    int64 rows_since_commit;  // messages polled, good or bad
    int64 bytes_since_commit;
    bool wants_commit;
    bool drained;
    bool nothing_to_read;  // just now: all ends are confirmed, or the broker does not answer
    bridge::Broker broker;
    int64 deadline_us;
};

// What the reader's client is to the stream, see pg/ingest/rest.
enum class Rest : uint8 {
    kNone,
    kAsked,  // the manager is to watch the topic
    kRests,  // it does, and there is no client
};

struct StreamRun {
    Oid stream;
    MemoryContext context;  // lives until the run is loaded again
    StreamDefinition* definition;
    RunTable* tables;
    int table_count;
    RunReader** readers;  // one per table at most
    int reader_count;
    RunReader* meeting[2];  // two readers on their way to the same positions
    int careful_rounds;     // with one message a batch (pg/shared/start_mark.h)
    int64 mirrored_at_us;   // pg/ingest/group_mirror
    bool mirror_is_due;     // something was committed since
    Rest rest;
    bridge::RestPosition rest_at[kMaxRestPartitions];  // as it was asked
    int rest_at_count;
    int64 awake_since_us;  // no rest is asked for sooner than some time after this
};

// Reads the stream, its tables and rules from the catalog. Needs a transaction; the result lives in
// run->context. False: there is nothing to do (no table, or no such stream). Raises an error where
// the stream itself cannot be read, such as one of its generated columns.
bool load_run(StreamRun* run);

// Has the windows closed of the tables for which that was asked since they were loaded. Needs no
// transaction. False: the extension is gone.
bool close_windows_as_asked(StreamRun* run);

// The definition and all that is made of it. Needs a transaction. False: it raises an error, or its
// owner may not read what it reads, which is remembered; the table is failing.
bool load_definition(const StreamRun* run, RunTable* table);
// Tries that again for a table that is not loaded: if it succeeds, the run is to be loaded again.
// Needs no transaction. False: the extension is gone.
bool retry_load(StreamRun* run, RunTable* table);

// NULL: the owner may read what the definition reads. Otherwise which right is missing. Looked up
// only when rights may have changed since the last time.
const char* missing_right(RunTable* table);

// Opens a reader for these tables (all at equal positions), restores their state from the
// checkpoint log and begins to read. One whose state cannot be restored is failing. Needs no
// transaction. False: the extension is gone.
bool open_reader(StreamRun* run, RunTable** tables, int count);
bool has_tables(const StreamRun* run, const RunReader* reader);
void close_reader(StreamRun* run, RunReader* reader);
void close_all_readers(StreamRun* run);

// Has the batch at hand judged and folded; tables that cannot be part of that are failing. Needs no
// transaction. False: the extension is gone.
bool judge_batch(StreamRun* run, RunReader* reader);

// Moves the tables of `from` to `to`, which is at the same positions, and closes `from`. Needs no
// transaction. False: the extension is gone.
bool join_readers(StreamRun* run, RunReader* to, RunReader* from);

// Are these two tables at the same place in the topic?
bool at_equal_positions(const RunTable* a, const RunTable* b);

// Resolves anomaly.start, or the stream's startup, for a table that has not begun to read, and
// stores it, once and for all. Needs no transaction. False: the extension is gone.
bool resolve_start(StreamRun* run, RunTable* table);

// Commits what the reader has gathered, all tables in one transaction. A table whose part fails is
// left behind as failing. `replay`: it is of these dead letters. Returns false if the extension or
// the stream is gone.
struct Replay;
bool commit_reader(StreamRun* run, RunReader* reader, const Replay* replay = NULL);

// Stops the table at its committed position and takes it out of its reader; it is tried again later
// by a reader of its own. Needs a transaction.
void freeze_table(RunTable* table, const char* error);
// The same for one that is in no reader.
void fail_table(RunTable* table, const char* error);

// How long a commit goes on waiting for locks that others have on its tables (table_locks.cpp).
struct LockPatience {
    int limit_ms;  // 0: however long it takes
    int left_ms;   // of it; once it is used up, the least for each table
};
LockPatience lock_patience();
// Begins a transaction that holds the locks on the reader's tables. One whose lock cannot be had is
// left behind, and waits. False: the extension is gone.
bool begin_locked_transaction(StreamRun* run, RunReader* reader, LockPatience* patience);
// Limits the waits of the table's part of the commit, until AtEOXact_GUC(false, the result).
int limit_lock_waits(const RunTable* table, const LockPatience& patience);
// Whether it was for want of a lock that the table's part failed: then it is left behind.
bool leave_for_lock(RunTable* table, const ErrorData* error, LockPatience* patience);
void end_lock_wait(RunTable* table);
// Of a table without a reader: whether its locks can be had, so that it can be tried again. False:
// it has a later retry_at_us. Needs no transaction.
bool locks_are_free(RunTable* table);

// Keeps the state of the tables within anomaly.stream_memory: commits what closes windows, then
// stops the table that takes most. Needs no transaction. False: the extension is gone.
bool keep_within_memory(StreamRun* run);
// Whether a table that failed for want of memory can have what it needs now.
bool has_memory_for(const StreamRun* run, const RunTable* table);

// Says in the status view, and once in the log, that the broker does not answer.
void publish_unreachable(const char* error);

// Microseconds since 2000-01-01 UTC, now.
inline int64 now_us() {
    return GetCurrentTimestamp();
}

}  // namespace anomaly::pg
