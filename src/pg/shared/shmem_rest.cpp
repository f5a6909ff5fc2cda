#include "pg/shared/shmem_rest.h"
#include "pg/shared/shmem_layout.h"

namespace anomaly::pg {

namespace {

void wake_latch(const WorkerSlot* slot) {
    if (slot != NULL && slot->latch != NULL) SetLatch(slot->latch);
}

// The slot of a stream that still rests by this request, NULL: it does not.
WorkerSlot* resting_slot(Oid stream, uint32 number) {
    WorkerSlot* slot = find_slot({MyDatabaseId, stream});
    if (slot == NULL || slot->pid == 0 || slot->rest.number != number) return NULL;
    const bool rests =
        slot->rest_state == RestState::kTaken || slot->rest_state == RestState::kWatched;
    return rests ? slot : NULL;
}

void set_state(Oid stream, uint32 number, RestState state) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    WorkerSlot* slot = resting_slot(stream, number);
    if (slot != NULL) {
        slot->rest_state = state;
        wake_latch(slot);
    }
    LWLockRelease(shared->lock);
}

}  // namespace

void ask_to_rest(const bridge::RestPosition* at, int count) {
    Assert(count <= kMaxRestPartitions);
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    WorkerSlot* slot = current_slot();
    slot->rest.stream = slot->key.stream;
    slot->rest.number++;
    slot->rest.count = count;
    memcpy(slot->rest.at, at, sizeof(*at) * static_cast<Size>(count));
    slot->rest_state = RestState::kAsked;
    wake_latch(find_slot({MyDatabaseId, InvalidOid}));
    LWLockRelease(shared->lock);
}

RestState rest_state() {
    LWLockAcquire(shared->lock, LW_SHARED);
    const RestState state = current_slot()->rest_state;
    LWLockRelease(shared->lock);
    return state;
}

void stop_resting() {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    WorkerSlot* slot = current_slot();
    if (slot->rest_state != RestState::kAwake) {
        slot->rest_state = RestState::kAwake;
        wake_latch(find_slot({MyDatabaseId, InvalidOid}));
    }
    LWLockRelease(shared->lock);
}

bool take_rest_request(RestRequest* out) {
    bool found = false;
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    for (int i = 0; i < shared->slot_count && !found; i++) {
        WorkerSlot* slot = &shared->slots[i];
        found = slot->key.database == MyDatabaseId && slot->pid != 0 &&
                slot->rest_state == RestState::kAsked;
        if (!found) continue;
        slot->rest_state = RestState::kTaken;
        *out = slot->rest;
    }
    LWLockRelease(shared->lock);
    return found;
}

bool rest_goes_on(Oid stream, uint32 number) {
    LWLockAcquire(shared->lock, LW_SHARED);
    const bool rests = resting_slot(stream, number) != NULL;
    LWLockRelease(shared->lock);
    return rests;
}

void confirm_rest(Oid stream, uint32 number) {
    set_state(stream, number, RestState::kWatched);
}

void end_rest(Oid stream, uint32 number) {
    set_state(stream, number, RestState::kAwake);
}

}  // namespace anomaly::pg
