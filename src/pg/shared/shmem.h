// Shared memory of the extension: who runs where, what each stream worker is doing, and which
// databases are held free of us. Nothing here is truth: it is lost in a crash, tables are not.
// One lock guards all of it; it is held for moments and never across an error.
#pragma once

#include "pg/shared/lock_limit.h"

namespace anomaly::pg {

enum class StreamState : uint8 {
    kStarting,
    kRunning,
    kPaused,
    kFailing,
    kUnreachable,
    kWaitingForLock,
};
const char* stream_state_name(StreamState state);

// Whose slot it is: the manager of a database has stream InvalidOid.
struct WorkerKey {
    Oid database;
    Oid stream;
};

// Figures of a stream worker since its start; lag -1: not known.
struct StreamFigures {
    int64 message_count;
    int64 byte_count;
    int64 dead_letter_count;
    int64 lag;
    int64 memory_bytes;
    int32 reader_count;
};

// A copy of a slot.
struct WorkerView {
    WorkerKey key;
    int pid;  // 0: not running
    StreamState state;
    TimestampTz started_at;
    StreamFigures figures;
    double message_rate;        // per second, over the last seconds
    TimestampTz last_error_at;  // 0: none
    char last_error[512];
};

enum class Ending : uint8 { kFailed, kNoExtension, kHeld };

// From _PG_init; afterwards shmem_ready tells whether the library was preloaded.
void install_shmem_hooks();
bool shmem_ready();
// Raises the error with the hint about shared_preload_libraries.
void require_shmem();

// ---- slots, from the side of whoever starts workers ----

// The key's slot, made if there is none; -1: no room, -2: the database is held.
constexpr int kNoRoom = -1;
constexpr int kDatabaseHeld = -2;
int claim_slot(WorkerKey key);
// The slot is given back, at once or when its process has left.
void release_slot(WorkerKey key);
// Ends the process in the slot, if there is one.
void stop_worker(WorkerKey key);
// False: no such slot.
bool view_worker(WorkerKey key, WorkerView* out);
Ending worker_ending(WorkerKey key);
void mark_stream(WorkerKey key, StreamState state);

// ---- from the side of the process in it ----

// Takes the slot for this process until it exits (after it has left the list of backends). False:
// another process is in it, the slot is gone, or the database is held.
bool enter_slot(int slot, WorkerKey key);
void publish_ending(Ending ending);
// Returns the state before.
StreamState publish_state(StreamState state);
void publish_figures(const StreamFigures& figures);
// The state becomes kFailing or kUnreachable. Returns whether that is news: a condition that lasts
// is announced once. Failing with another text is another condition; unreachable is one until it
// ends, for the client's texts hold durations. Publish kRunning only when all is really well.
bool publish_error(StreamState state, const char* text);
// Whether wake_stream, or wake_manager, was called since the last time.
bool take_reload_request();
// The same of ask_to_close.
bool take_close_request();
// Whether one of these is still to be taken: to be asked before each wait. Whatever else has waited
// meanwhile, for a lock or in a trigger that sleeps, may have reset the latch.
bool is_wanted();
// Wakes whoever waits for a commit.
void broadcast_commit();

// A continuous table that stays at its position until somebody else lets go of a lock. Beyond a
// thousand of them in the cluster they are not shown.
struct LockWaitView {
    Oid table;
    TimestampTz since;
    LockHolders holders;  // when it was last looked
};
constexpr int kMaxLockWaits = 1000;
void publish_lock_wait(const LockWaitView& view);
void publish_lock_had(Oid table);
// What is published of the stream, at most `room`; nothing is any more. Returns their number.
int take_lock_waits(LockWaitView* out, int room);

// ---- for everybody ----

void wake_launcher();
void wake_manager(Oid database);
void wake_stream(Oid database, Oid stream);
void wake_all_streams(Oid database);
// anomaly.close_windows was called for a table of the stream.
void ask_to_close(Oid database, Oid stream);
// The launcher looks at this database again; it need not be woken besides.
void tell_launcher(Oid database);
// One database that the launcher was told of; InvalidOid: no more; kAllDatabases: any.
constexpr Oid kAllDatabases = OID_MAX;
Oid take_told_database();
// Of wake_launcher, and of both: as take_reload_request and is_wanted.
void take_launcher_request();
bool launcher_is_wanted();
void enter_launcher();

// The variable that broadcast_commit wakes; one for all streams, since a stream that has no worker
// just now is waited for too.
ConditionVariable* commit_variable();
// Copies the slots of a database's streams, at most `room`; returns their number.
int view_streams(Oid database, WorkerView* out, int room);
int view_lock_waits(Oid database, LockWaitView* out, int room);

// ---- holds: a database that must be free of us ----

// False: too many holds at once. Ends all processes in the database and lets none enter.
bool hold_database(Oid database);
void release_held_databases();
// Waits until no process of ours is in the database; false: not within the time.
bool wait_until_database_free(Oid database, int timeout_ms);

}  // namespace anomaly::pg
