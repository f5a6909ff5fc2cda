// Sends NOTIFY anomaly.
#include "pg/event/announce.h"

#include "pg/server/guc.h"

namespace anomaly::pg {

namespace {

constexpr int64 kIntervalUs = 100000;
constexpr int64 kLongestPauseUs = 1000000;
// NOTIFY takes its turn behind every other one of the cluster, whose commit may wait for a standby.
constexpr char kLongestWait[] = "50ms";

struct Pending {
    EventSpan span;
    int64 due_us;
    int failures;  // since the last success; said once
};
Pending pending = {{}, 0, 0};

// It is a hint: a crash may forget it, and no standby has to have it.
void set_local(const char* name, const char* value) {
    set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

// In a transaction of its own: a full notify queue, or any other trouble, must not touch ingest.
bool send(const EventSpan& span) {
    const MemoryContext caller = CurrentMemoryContext;
    volatile bool sent = false;
    PG_TRY();
    {
        StartTransactionCommand();
        set_local("synchronous_commit", "off");
        set_local("lock_timeout", kLongestWait);
        // A full queue stays full when whoever has not read it is gone, until somebody looks.
        if (pending.failures > 0) DirectFunctionCall1(pg_notification_queue_usage, Datum{0});
        char* payload =
            psprintf("{\"v\":1,\"seq\":%lld,\"firing\":%lld,\"resolved\":%lld}",
                     static_cast<long long>(span.last_seq), static_cast<long long>(span.firing),
                     static_cast<long long>(span.resolved));
        Async_Notify("anomaly", payload);
        CommitTransactionCommand();
        sent = true;
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(caller);
        ErrorData* error = CopyErrorData();
        FlushErrorState();
        AbortCurrentTransaction();
        if (ProcDiePending) ReThrowError(error);
        if (pending.failures == 0) {
            ereport(LOG, (errmsg("anomaly could not send NOTIFY: %s", error->message),
                          errdetail("Events are in the event log all the same; it is tried "
                                    "again.")));
        }
        FreeErrorData(error);
    }
    PG_END_TRY();
    MemoryContextSwitchTo(caller);
    pending.failures = sent ? 0 : pending.failures + 1;
    return sent;
}

// Whatever was going on: what is committed is told.
void announce_at_exit(int, Datum) {
    if (pending.span.count == 0) return;
    AbortOutOfAnyTransaction();
    announce_pending();
}

// Somebody else's slow commit should not cost a listener a second; a standby that is gone should
// not cost ingest more than a twentieth of its time.
int64 pause_us() {
    return Min(kIntervalUs << Min(pending.failures, 4), kLongestPauseUs);
}

}  // namespace

void announce_events(const EventSpan& span) {
    static bool registered = false;
    if (span.count == 0) return;
    // Before the session is shut down, since it is registered later.
    if (!registered) before_shmem_exit(announce_at_exit, Datum{0});
    registered = true;
    pending.span.last_seq = Max(pending.span.last_seq, span.last_seq);
    pending.span.count += span.count;
    pending.span.firing += span.firing;
    pending.span.resolved += span.resolved;
    if (GetCurrentTimestamp() >= announce_due_us()) announce_pending();
}

int64 announce_due_us() {
    return pending.span.count == 0 ? PG_INT64_MAX : pending.due_us;
}

void announce_pending() {
    if (pending.span.count == 0) return;
    if (!settings.notify || send(pending.span)) pending.span = {};
    pending.due_us = GetCurrentTimestamp() + pause_us();
}

}  // namespace anomaly::pg
