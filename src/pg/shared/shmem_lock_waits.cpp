// Continuous tables that wait for a lock which somebody else has: for the status views, and for the
// same worker after it has read the catalog again.
#include "pg/shared/shmem_layout.h"

namespace anomaly::pg {

namespace {

bool is_of(const LockWait* wait, WorkerKey key) {
    return wait->key.database == key.database && wait->key.stream == key.stream;
}

LockWait* find_wait(WorkerKey key, Oid table) {
    for (LockWait& wait : shared->lock_waits) {
        if (wait.view.table == table && is_of(&wait, key)) return &wait;
    }
    return NULL;
}

}  // namespace

void forget_lock_waits(WorkerKey key) {
    for (LockWait& wait : shared->lock_waits) {
        if (is_of(&wait, key)) wait = {};
    }
}

void publish_lock_wait(const LockWaitView& view) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    const WorkerKey key = current_slot()->key;
    LockWait* wait = find_wait(key, view.table);
    if (wait == NULL) wait = find_wait({InvalidOid, InvalidOid}, InvalidOid);
    if (wait != NULL) *wait = {key, view};
    LWLockRelease(shared->lock);
}

void publish_lock_had(Oid table) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    LockWait* wait = find_wait(current_slot()->key, table);
    if (wait != NULL) *wait = {};
    LWLockRelease(shared->lock);
}

int take_lock_waits(LockWaitView* out, int room) {
    int count = 0;
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    const WorkerKey key = current_slot()->key;
    for (const LockWait& wait : shared->lock_waits) {
        if (is_of(&wait, key) && count < room) out[count++] = wait.view;
    }
    forget_lock_waits(key);
    LWLockRelease(shared->lock);
    return count;
}

int view_lock_waits(Oid database, LockWaitView* out, int room) {
    int count = 0;
    LWLockAcquire(shared->lock, LW_SHARED);
    for (const LockWait& wait : shared->lock_waits) {
        if (wait.key.database == database && count < room) out[count++] = wait.view;
    }
    LWLockRelease(shared->lock);
    return count;
}

}  // namespace anomaly::pg
