// What lies in shared memory; only for the shmem_*.cpp files. Every field is read and written under
// `lock`, but for the condition variables, which have their own.
#pragma once

#include "pg/shared/shmem.h"
#include "pg/shared/shmem_rest.h"

namespace anomaly::pg {

// Messages counted up to a moment; two of them give the rate.
struct RatePoint {
    TimestampTz at;
    int64 message_count;
};

struct WorkerSlot {
    WorkerKey key;  // database InvalidOid: free
    int pid;        // 0: claimed, no process in it
    Latch* latch;   // of that process
    bool reload;    // it is to read the catalog again
    bool close;     // it is to look whose windows are to be closed
    bool released;  // free as soon as the process has left
    Ending ending;
    StreamState state;
    TimestampTz started_at;
    StreamFigures figures;
    RatePoint older;
    RatePoint newer;
    RestState rest_state;
    RestRequest rest;  // the last one
    TimestampTz last_error_at;
    char last_error[sizeof(WorkerView::last_error)];
};

struct LockWait {
    WorkerKey key;  // database InvalidOid: free
    LockWaitView view;
};

struct Hold {
    Oid database;
    int pid;  // of the session that holds it, 0: free
};

constexpr int kMaxHolds = 32;
constexpr int kMaxTold = 64;

struct SharedState {
    LWLock* lock;
    Latch* launcher;
    bool launcher_wanted;         // it is to look at the databases
    ConditionVariable left;       // broadcast when a process has left its slot
    ConditionVariable committed;  // broadcast when a stream worker has committed
    Hold holds[kMaxHolds];
    Oid told[kMaxTold];  // databases the launcher is to look at again
    int told_count;
    LockWait lock_waits[kMaxLockWaits];
    int slot_count;
    WorkerSlot slots[FLEXIBLE_ARRAY_MEMBER];
};

extern SharedState* shared;

// All under the lock. A key of two InvalidOids finds a free slot.
WorkerSlot* find_slot(WorkerKey key);
bool is_held(Oid database);
void forget_lock_waits(WorkerKey key);

// The slot this process is in, NULL: none.
WorkerSlot* current_slot();

}  // namespace anomaly::pg
