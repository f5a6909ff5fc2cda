// The server's own lock_timeout, and a look at what is waited for in the moment that it fires: with
// the error that is gone.
#include "pg/shared/lock_limit.h"

namespace anomaly::pg {

namespace {

AwaitedLock noted = {{}, NoLock};

// The server says by SIGINT that the time is over. Whoever waits for a lock, or has just been given
// it, keeps it in its place: the tag can be read without a lock on the table of locks.
void note_and_cancel(int signal) {
    const int saved_errno = errno;
    const LOCK* lock = MyProc == NULL ? NULL : MyProc->waitLock;
    if (lock != NULL) noted = {lock->tag, MyProc->waitLockMode};
    StatementCancelHandler(signal);
    errno = saved_errno;
}

void set_milliseconds(const char* name, int value) {
    set_config_option(name, psprintf("%d", value), PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
                      0, false);
}

}  // namespace

void note_lock_timeouts() {
    pqsignal(SIGINT, note_and_cancel);
}

int begin_lock_limit(int limit_ms) {
    // Looked for early, a deadlock ends our wait and not the user's.
    constexpr int kDeadlockMs = 100;
    const int nest_level = NewGUCNestLevel();
    noted.mode = NoLock;
    if (limit_ms == 0) return nest_level;
    set_milliseconds("lock_timeout", limit_ms);
    if (limit_ms > kDeadlockMs) set_milliseconds("deadlock_timeout", kDeadlockMs);
    return nest_level;
}

bool is_lock_wait(const ErrorData* error, AwaitedLock* awaited) {
    *awaited = noted;
    if (error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED) return true;
    // NOWAIT in a user's trigger has the same code, and is an error of that.
    return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE && noted.mode != NoLock;
}

AwaitedLock relation_lock(Oid relation, LOCKMODE mode) {
    AwaitedLock lock = {{}, mode};
    SET_LOCKTAG_RELATION(lock.tag, MyDatabaseId, relation);
    return lock;
}

bool lock_is_free(const AwaitedLock& lock) {
    return LockAcquire(&lock.tag, lock.mode, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

LockHolders lock_holders(const AwaitedLock& lock) {
    LockHolders holders = {};
    if (lock.mode == NoLock) return holders;
    int count = 0;
    const VirtualTransactionId* transactions = GetLockConflicts(&lock.tag, lock.mode, &count);
    int known = 0;
    for (int i = 0; i < count && known < kMaxLockHolders; i++) {
        const PGPROC* process = process_of(transactions[i]);
        if (process != NULL && process->pid != 0) holders.pids[known++] = process->pid;
    }
    return holders;
}

}  // namespace anomaly::pg
