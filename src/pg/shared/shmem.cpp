// Layout of the shared memory, and the functions over slots.
#include "pg/server/guc.h"
#include "pg/shared/shmem_layout.h"

namespace anomaly::pg {

SharedState* shared = NULL;

namespace {

shmem_request_hook_type previous_request_hook = NULL;
shmem_startup_hook_type previous_startup_hook = NULL;
constexpr char kTrancheName[] = "anomaly";
WorkerSlot* own_slot = NULL;

int slot_count() {
    return settings.max_streams + max_worker_processes;
}

Size shared_size() {
    return add_size(offsetof(SharedState, slots), mul_size(slot_count(), sizeof(WorkerSlot)));
}

void request() {
    if (previous_request_hook != NULL) previous_request_hook();
    RequestAddinShmemSpace(shared_size());
    RequestNamedLWLockTranche(kTrancheName, 1);
}

void startup() {
    if (previous_startup_hook != NULL) previous_startup_hook();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    bool found = false;
    shared = static_cast<SharedState*>(ShmemInitStruct("anomaly", shared_size(), &found));
    if (!found) {
        memset(static_cast<void*>(shared), 0, shared_size());
        shared->lock = &GetNamedLWLockTranche(kTrancheName)->lock;
        shared->slot_count = slot_count();
        ConditionVariableInit(&shared->left);
        ConditionVariableInit(&shared->committed);
    }
    LWLockRelease(AddinShmemInitLock);
}

void forget(WorkerSlot* slot) {
    slot->key = {InvalidOid, InvalidOid};
    slot->ending = Ending::kFailed;
    slot->released = false;
    slot->state = StreamState::kStarting;
    slot->last_error_at = 0;
    slot->last_error[0] = '\0';
    slot->figures = {};
    slot->figures.lag = -1;
}

void wake_latch(Latch* latch) {
    if (latch != NULL) SetLatch(latch);
}

// Runs after the process has left the list of backends: whoever waits for a database to be free
// sees it free. A manager takes its stream workers with it.
void leave_slot(int, Datum) {
    WorkerSlot* slot = own_slot;
    if (slot == NULL) return;
    own_slot = NULL;
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    const WorkerKey key = slot->key;
    forget_lock_waits(key);
    slot->pid = 0;
    slot->latch = NULL;
    if (slot->released) forget(slot);
    if (OidIsValid(key.stream)) {
        const WorkerSlot* manager = find_slot({key.database, InvalidOid});
        wake_latch(manager != NULL ? manager->latch : shared->launcher);
    } else {
        for (int i = 0; i < shared->slot_count; i++) {
            WorkerSlot* other = &shared->slots[i];
            if (other->key.database != key.database || !OidIsValid(other->key.stream)) continue;
            other->released = true;
            if (other->pid != 0) {
                kill(other->pid, SIGTERM);
            } else {
                forget(other);
            }
        }
        wake_latch(shared->launcher);
    }
    LWLockRelease(shared->lock);
    ConditionVariableBroadcast(&shared->left);
}

void leave_launcher(int, Datum) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    shared->launcher = NULL;
    LWLockRelease(shared->lock);
}

int stream_slots_taken() {
    int taken = 0;
    for (int i = 0; i < shared->slot_count; i++) {
        taken += OidIsValid(shared->slots[i].key.stream) ? 1 : 0;
    }
    return taken;
}

int claim_locked(WorkerKey key) {
    if (is_held(key.database)) return kDatabaseHeld;
    WorkerSlot* slot = find_slot(key);
    if (slot == NULL) {
        if (OidIsValid(key.stream) && stream_slots_taken() >= settings.max_streams) return kNoRoom;
        slot = find_slot({InvalidOid, InvalidOid});
        if (slot == NULL) return kNoRoom;
        forget(slot);
        slot->key = key;
    }
    slot->released = false;
    slot->ending = Ending::kFailed;
    return static_cast<int>(slot - shared->slots);
}

}  // namespace

WorkerSlot* find_slot(WorkerKey key) {
    for (int i = 0; i < shared->slot_count; i++) {
        WorkerSlot* slot = &shared->slots[i];
        if (slot->key.database == key.database && slot->key.stream == key.stream) return slot;
    }
    return NULL;
}

bool is_held(Oid database) {
    for (const Hold& hold : shared->holds) {
        if (hold.database == database && hold.pid != 0) return true;
    }
    return false;
}

void install_shmem_hooks() {
    previous_request_hook = shmem_request_hook;
    shmem_request_hook = request;
    previous_startup_hook = shmem_startup_hook;
    shmem_startup_hook = startup;
}

bool shmem_ready() {
    return shared != NULL;
}

void require_shmem() {
    if (shared != NULL) return;
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("anomaly must be loaded through shared_preload_libraries"),
             errhint("Add anomaly to shared_preload_libraries in postgresql.conf and restart the "
                     "server.")));
}

int claim_slot(WorkerKey key) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    const int slot = claim_locked(key);
    LWLockRelease(shared->lock);
    return slot;
}

void release_slot(WorkerKey key) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    WorkerSlot* slot = find_slot(key);
    if (slot != NULL) {
        slot->released = true;
        if (slot->pid == 0) forget(slot);
    }
    LWLockRelease(shared->lock);
}

void stop_worker(WorkerKey key) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    const WorkerSlot* slot = find_slot(key);
    if (slot != NULL && slot->pid != 0) kill(slot->pid, SIGTERM);
    LWLockRelease(shared->lock);
}

bool enter_slot(int slot_number, WorkerKey key) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    WorkerSlot* slot = &shared->slots[slot_number];
    const bool ours = slot->key.database == key.database && slot->key.stream == key.stream;
    const bool entered = ours && slot->pid == 0 && !slot->released && !is_held(key.database);
    if (entered) {
        slot->pid = MyProcPid;
        slot->latch = MyLatch;
        slot->started_at = GetCurrentTimestamp();
        slot->state = slot->state == StreamState::kFailing ? slot->state : StreamState::kStarting;
        slot->figures = {};
        slot->figures.lag = -1;
        slot->older = slot->newer = {slot->started_at, 0};
        slot->rest_state = RestState::kAwake;
        own_slot = slot;
    } else if (ours && is_held(key.database)) {
        slot->ending = Ending::kHeld;
    }
    LWLockRelease(shared->lock);
    // Registered before the process joins the list of backends, so it runs after it has left it.
    if (entered) on_shmem_exit(leave_slot, Datum{0});
    return entered;
}

void enter_launcher() {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    shared->launcher = MyLatch;
    LWLockRelease(shared->lock);
    on_shmem_exit(leave_launcher, Datum{0});
}

WorkerSlot* current_slot() {
    return own_slot;
}

}  // namespace anomaly::pg
