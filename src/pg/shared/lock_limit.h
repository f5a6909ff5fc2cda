// How long this process waits for a lock, and which one it has waited for in vain.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// mode NoLock: not known.
struct AwaitedLock {
    LOCKTAG tag;
    LOCKMODE mode;
};

constexpr int kMaxLockHolders = 4;
struct LockHolders {
    int pids[kMaxLockHolders];  // 0: no more
};

// Once a process.
void note_lock_timeouts();

// From now on until AtEOXact_GUC(false, the returned nest level) no wait for a lock lasts longer;
// 0: however long it takes. A SET lock_timeout of a user's function goes before it.
int begin_lock_limit(int limit_ms);

// Is it the error of a wait under the last limit, or of a deadlock? Then also what for.
bool is_lock_wait(const ErrorData* error, AwaitedLock* awaited);

AwaitedLock relation_lock(Oid relation, LOCKMODE mode);
// Whether it could be had now. Needs a transaction, which may hold it for its rest.
bool lock_is_free(const AwaitedLock& lock);
// Who has it, some of them. Prepared transactions have no process.
LockHolders lock_holders(const AwaitedLock& lock);

}  // namespace anomaly::pg
