// What workers tell and others read: states, figures, errors, wake-ups.
#include "pg/shared/shmem_layout.h"

namespace anomaly::pg {

namespace {

// The rate is taken over the last one to two of these.
constexpr int64 kRateSpan_us = INT64CONST(5000000);

using Request = bool WorkerSlot::*;

void wake_slot(WorkerSlot* slot, Request request) {
    slot->*request = true;
    if (slot->latch != NULL) SetLatch(slot->latch);
}

void wake_key(WorkerKey key, Request request) {
    if (shared == NULL) return;
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    WorkerSlot* slot = find_slot(key);
    if (slot != NULL) wake_slot(slot, request);
    LWLockRelease(shared->lock);
}

bool take_request(Request request) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    const bool requested = current_slot()->*request;
    current_slot()->*request = false;
    LWLockRelease(shared->lock);
    return requested;
}

double message_rate(const WorkerSlot* slot, TimestampTz now) {
    if (slot->pid == 0 || now <= slot->older.at) return 0;
    // Nothing was published for long: nothing came.
    if (now - slot->newer.at > 2 * kRateSpan_us) return 0;
    const double seconds = static_cast<double>(now - slot->older.at) / 1e6;
    const int64 messages = slot->figures.message_count - slot->older.message_count;
    return static_cast<double>(messages) / seconds;
}

// Of a table or of a row, which somebody else has: the worker itself only knows afterwards.
bool waits_for_lock(pid_t pid) {
    const PGPROC* process = BackendPidGetProc(pid);
    if (process == NULL) return false;
    constexpr uint32 kClass = 0xFF000000;
    return (process->wait_event_info & kClass) == PG_WAIT_LOCK;
}

void copy_slot(const WorkerSlot* slot, TimestampTz now, WorkerView* out) {
    out->key = slot->key;
    out->pid = slot->pid;
    out->state = slot->state;
    if (slot->state == StreamState::kRunning && waits_for_lock(slot->pid)) {
        out->state = StreamState::kWaitingForLock;
    }
    out->started_at = slot->started_at;
    out->figures = slot->figures;
    out->message_rate = message_rate(slot, now);
    out->last_error_at = slot->last_error_at;
    memcpy(out->last_error, slot->last_error, sizeof(out->last_error));
}

}  // namespace

const char* stream_state_name(StreamState state) {
    switch (state) {
        case StreamState::kStarting:
            return "starting";
        case StreamState::kRunning:
            return "running";
        case StreamState::kPaused:
            return "paused";
        case StreamState::kFailing:
            return "failing";
        case StreamState::kUnreachable:
            return "unreachable";
        case StreamState::kWaitingForLock:
            return "waiting for a lock";
    }
    pg_unreachable();
}

void publish_ending(Ending ending) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    current_slot()->ending = ending;
    LWLockRelease(shared->lock);
}

StreamState publish_state(StreamState state) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    const StreamState before = current_slot()->state;
    current_slot()->state = state;
    LWLockRelease(shared->lock);
    return before;
}

void publish_figures(const StreamFigures& figures) {
    const TimestampTz now = GetCurrentTimestamp();
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    WorkerSlot* slot = current_slot();
    slot->figures = figures;
    if (now - slot->newer.at >= kRateSpan_us) {
        slot->older = slot->newer;
        slot->newer = {now, figures.message_count};
    }
    LWLockRelease(shared->lock);
}

bool publish_error(StreamState state, const char* text) {
    const TimestampTz now = GetCurrentTimestamp();
    char clipped[sizeof(WorkerView::last_error)];
    const size_t length = strlen(text);
    const size_t room = sizeof(clipped) - 1;
    const size_t kept =
        length <= room ? length
                       : static_cast<size_t>(pg_mbcliplen(text, static_cast<int>(length), room));
    memcpy(clipped, text, kept);
    clipped[kept] = '\0';
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    WorkerSlot* slot = current_slot();
    const bool is_new = slot->state != state ||
                        (state == StreamState::kFailing && strcmp(slot->last_error, clipped) != 0);
    memcpy(slot->last_error, clipped, kept + 1);
    slot->last_error_at = now;
    slot->state = state;
    LWLockRelease(shared->lock);
    return is_new;
}

bool take_reload_request() {
    return take_request(&WorkerSlot::reload);
}

bool take_close_request() {
    return take_request(&WorkerSlot::close);
}

bool is_wanted() {
    LWLockAcquire(shared->lock, LW_SHARED);
    const WorkerSlot* slot = current_slot();
    const bool wanted = slot->reload || slot->close;
    LWLockRelease(shared->lock);
    return wanted;
}

void broadcast_commit() {
    ConditionVariableBroadcast(&shared->committed);
}

bool view_worker(WorkerKey key, WorkerView* out) {
    const TimestampTz now = GetCurrentTimestamp();
    LWLockAcquire(shared->lock, LW_SHARED);
    const WorkerSlot* slot = find_slot(key);
    if (slot != NULL) copy_slot(slot, now, out);
    LWLockRelease(shared->lock);
    return slot != NULL;
}

Ending worker_ending(WorkerKey key) {
    LWLockAcquire(shared->lock, LW_SHARED);
    const WorkerSlot* slot = find_slot(key);
    const Ending ending = slot == NULL ? Ending::kFailed : slot->ending;
    LWLockRelease(shared->lock);
    return ending;
}

void mark_stream(WorkerKey key, StreamState state) {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    WorkerSlot* slot = find_slot(key);
    if (slot != NULL) slot->state = state;
    LWLockRelease(shared->lock);
}

int view_streams(Oid database, WorkerView* out, int room) {
    const TimestampTz now = GetCurrentTimestamp();
    int count = 0;
    LWLockAcquire(shared->lock, LW_SHARED);
    for (int i = 0; i < shared->slot_count && count < room; i++) {
        const WorkerSlot* slot = &shared->slots[i];
        if (slot->key.database != database || !OidIsValid(slot->key.stream)) continue;
        copy_slot(slot, now, &out[count++]);
    }
    LWLockRelease(shared->lock);
    return count;
}

ConditionVariable* commit_variable() {
    return &shared->committed;
}

void wake_manager(Oid database) {
    wake_key({database, InvalidOid}, &WorkerSlot::reload);
}

void wake_stream(Oid database, Oid stream) {
    wake_key({database, stream}, &WorkerSlot::reload);
}

void ask_to_close(Oid database, Oid stream) {
    wake_key({database, stream}, &WorkerSlot::close);
}

void wake_all_streams(Oid database) {
    if (shared == NULL) return;
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    for (int i = 0; i < shared->slot_count; i++) {
        WorkerSlot* slot = &shared->slots[i];
        if (slot->key.database == database && OidIsValid(slot->key.stream))
            wake_slot(slot, &WorkerSlot::reload);
    }
    LWLockRelease(shared->lock);
}

void wake_launcher() {
    if (shared == NULL) return;
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    shared->launcher_wanted = true;
    if (shared->launcher != NULL) SetLatch(shared->launcher);
    LWLockRelease(shared->lock);
}

void tell_launcher(Oid database) {
    if (shared == NULL) return;
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    bool known = false;
    for (int i = 0; i < shared->told_count; i++) known = known || shared->told[i] == database;
    // When the list is full the last entry gives way to "all of them", said by kAllDatabases.
    if (!known && shared->told_count == kMaxTold) {
        shared->told[kMaxTold - 1] = kAllDatabases;
    } else if (!known) {
        shared->told[shared->told_count++] = database;
    }
    if (shared->launcher != NULL) SetLatch(shared->launcher);
    LWLockRelease(shared->lock);
}

void take_launcher_request() {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    shared->launcher_wanted = false;
    LWLockRelease(shared->lock);
}

bool launcher_is_wanted() {
    LWLockAcquire(shared->lock, LW_SHARED);
    const bool wanted = shared->launcher_wanted || shared->told_count > 0;
    LWLockRelease(shared->lock);
    return wanted;
}

Oid take_told_database() {
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    const Oid database = shared->told_count == 0 ? InvalidOid : shared->told[--shared->told_count];
    LWLockRelease(shared->lock);
    return database;
}

}  // namespace anomaly::pg
