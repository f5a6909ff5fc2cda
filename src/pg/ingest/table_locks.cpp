// anomaly.lock_timeout: a table whose relation, rows or triggers somebody else has locked for
// longer stays at its position alone. It is read on, by a reader of its own, once the lock can be
// had; to look for that costs next to nothing, and to try no more than a moment.
#include "pg/ddl/continuous_ddl.h"
#include "pg/ingest/stream_run.h"
#include "pg/server/guc.h"
#include "pg/server/subtransaction.h"
#include "pg/shared/extension_lock.h"
#include "pg/shared/shmem.h"

namespace anomaly::pg {

namespace {

// Who holds it for a moment only is waited for in any case.
constexpr int kLeastLimitMs = 10;

// For a table that has been left behind lately there is half the patience of the last time: who
// locks it again and again does not hold up the others each time.
constexpr int64 kLatelyUs = 60 * USECS_PER_SEC;

int recent_waits(const RunTable* table) {
    return now_us() - table->waited_at > kLatelyUs ? 0 : table->recent_waits;
}

int limit_ms(const RunTable* table, const LockPatience& patience) {
    if (patience.limit_ms == 0) return 0;
    constexpr int kMostHalvings = 10;
    const int left = patience.left_ms >> Min(recent_waits(table), kMostHalvings);
    return Max(table->lock_waits > 0 ? 0 : left, Min(kLeastLimitMs, patience.limit_ms));
}

void use_up(LockPatience* patience, int64 elapsed_us) {
    patience->left_ms =
        static_cast<int>(Max(patience->left_ms - elapsed_us / 1000, static_cast<int64>(0)));
}

// ---- waiting ----

void log_wait(const RunTable* table, const LockHolders& holders) {
    StringInfoData detail;
    initStringInfo(&detail);
    appendStringInfoString(&detail, "It stays at its position until then.");
    for (const int pid : holders.pids) {
        if (pid != 0) appendStringInfo(&detail, " Process %d has such a lock.", pid);
    }
    ereport(LOG, (errmsg("continuous table \"%s\" waits for a lock", get_rel_name(table->relid)),
                  errdetail_internal("%s", detail.data)));
}

void await(RunTable* table, const AwaitedLock& lock) {
    constexpr int64 kFirstRetryUs = 100000;
    constexpr int64 kLastRetryUs = USECS_PER_SEC;
    const int shift = Min(table->lock_waits, 10);
    const bool is_new = table->waits_since == 0;
    const LockHolders holders = lock_holders(lock);
    table->awaited = lock;
    table->lock_waits++;
    table->retry_at_us = now_us() + Min(kFirstRetryUs << shift, kLastRetryUs);
    if (is_new) {
        table->waits_since = GetCurrentTimestamp();
        table->recent_waits = recent_waits(table) + 1;
        table->waited_at = table->waits_since;
    }
    publish_lock_wait({table->relid, table->waits_since, holders});
    if (is_new && table->recent_waits == 1) log_wait(table, holders);
}

void leave_behind(RunTable* table, const AwaitedLock& lock) {
    bridge::ingest_remove_table(table->reader->ingest, table->index);
    table->reader = NULL;
    await(table, lock);
}

// ---- locks on the tables ----

// In order of their oids (as they were loaded), and never waiting while another one is held: a user
// who locks two of them can never be in a deadlock with us. Returns the one that is not free.
RunTable* lock_tables(StreamRun* run, const RunReader* reader) {
    for (int t = 0; t < run->table_count; t++) {
        RunTable* table = &run->tables[t];
        if (table->reader != reader) continue;
        if (!ConditionalLockRelationOid(table->relid, RowExclusiveLock)) return table;
    }
    return NULL;
}

struct LockWish {
    Oid relid;
    int limit_ms;
};

void lock_step(void* opaque) {
    const LockWish* wish = static_cast<const LockWish*>(opaque);
    const int nest_level = begin_lock_limit(wish->limit_ms);
    LockRelationOid(wish->relid, RowExclusiveLock);
    AtEOXact_GUC(false, nest_level);
}

// Waits for the lock alone, in a transaction without others.
void wait_for_lock(RunTable* table, LockPatience* patience) {
    const TimestampTz start = GetCurrentTimestamp();
    StartTransactionCommand();
    LockWish wish = {table->relid, limit_ms(table, *patience)};
    ErrorData* error = run_in_subtransaction(lock_step, &wish, Containment::kTable);
    use_up(patience, GetCurrentTimestamp() - start);
    AwaitedLock awaited;
    if (error != NULL && !is_lock_wait(error, &awaited)) ReThrowError(error);
    if (error != NULL) leave_behind(table, relation_lock(table->relid, RowExclusiveLock));
    CommitTransactionCommand();
}

}  // namespace

LockPatience lock_patience() {
    return {settings.lock_timeout_ms, settings.lock_timeout_ms};
}

bool begin_locked_transaction(StreamRun* run, RunReader* reader, LockPatience* patience) {
    for (;;) {
        if (!begin_extension_transaction()) return false;
        RunTable* table = lock_tables(run, reader);
        if (table == NULL) return true;
        AbortCurrentTransaction();
        wait_for_lock(table, patience);
    }
}

int limit_lock_waits(const RunTable* table, const LockPatience& patience) {
    return begin_lock_limit(limit_ms(table, patience));
}

bool leave_for_lock(RunTable* table, const ErrorData* error, LockPatience* patience) {
    AwaitedLock awaited;
    if (!is_lock_wait(error, &awaited)) return false;
    patience->left_ms = 0;
    leave_behind(table, awaited);
    return true;
}

void end_lock_wait(RunTable* table) {
    if (table->lock_waits == 0) return;
    table->lock_waits = 0;
    table->awaited.mode = NoLock;
    table->waits_since = 0;
    publish_lock_had(table->relid);
}

bool locks_are_free(RunTable* table) {
    const AwaitedLock own = relation_lock(table->relid, RowExclusiveLock);
    StartTransactionCommand();
    // Reads what others have committed about it, too.
    const bool own_is_free = ConditionalLockRelationOid(table->relid, own.mode);
    const bool is_there = own_is_free && has_guard(table->relid);
    const bool all_are_free =
        own_is_free && (table->awaited.mode == NoLock || lock_is_free(table->awaited));
    if (own_is_free && !is_there) {
        table->retry_at_us = PG_INT64_MAX;  // dropped: a reload is to come
    } else if (!all_are_free) {
        await(table, own_is_free ? table->awaited : own);
    } else if (table->lock_waits > 0) {
        publish_lock_had(table->relid);
    }
    CommitTransactionCommand();
    return is_there && all_are_free;
}

}  // namespace anomaly::pg
