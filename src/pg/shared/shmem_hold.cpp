// Databases that are kept free of our processes while a command needs them to be.
#include "pg/shared/shmem_layout.h"

namespace anomaly::pg {

bool hold_database(Oid database) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    Hold* free_hold = NULL;
    for (Hold& hold : shared->holds) {
        if (hold.pid == 0) free_hold = &hold;
    }
    if (free_hold != NULL) {
        *free_hold = {database, MyProcPid};
        for (int i = 0; i < shared->slot_count; i++) {
            WorkerSlot* slot = &shared->slots[i];
            if (slot->key.database != database) continue;
            slot->ending = Ending::kHeld;
            if (slot->pid != 0) kill(slot->pid, SIGTERM);
        }
    }
    LWLockRelease(shared->lock);
    return free_hold != NULL;
}

void release_held_databases() {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    for (Hold& hold : shared->holds) {
        if (hold.pid == MyProcPid) hold = {InvalidOid, 0};
    }
    if (shared->launcher != NULL) SetLatch(shared->launcher);
    LWLockRelease(shared->lock);
}

bool wait_until_database_free(Oid database, int timeout_ms) {
    const TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
    ConditionVariablePrepareToSleep(&shared->left);
    bool is_free = false;
    for (;;) {
        LWLockAcquire(shared->lock, LW_SHARED);
        is_free = true;
        for (int i = 0; i < shared->slot_count; i++) {
            const WorkerSlot* slot = &shared->slots[i];
            if (slot->key.database == database && slot->pid != 0) is_free = false;
        }
        LWLockRelease(shared->lock);
        const long left_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
        if (is_free || left_ms <= 0) break;
        ConditionVariableTimedSleep(&shared->left, left_ms, PG_WAIT_EXTENSION);
    }
    ConditionVariableCancelSleep();
    return is_free;
}

}  // namespace anomaly::pg
