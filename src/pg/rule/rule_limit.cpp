// Cancels rules, and what is done about one that will not be cancelled, or ends its worker.
#include "pg/rule/rule_limit.h"

#include "pg/event/announce.h"
#include "pg/rule/rule_outcome.h"
#include "pg/shared/extension_lock.h"

namespace anomaly::pg {

namespace {

constexpr int kCancelAgainMs = 100;
// After its limit a rule has as long again to heed its cancel, and at least this.
constexpr int kGraceMs = 2000;

struct Running {
    Rule* const* rules;
    int count;
    int limit_ms;
    TimestampTz give_up_at;
};

TimeoutId rule_timeout = MAX_TIMEOUTS;
Running running = {NULL, 0, 0, 0};
volatile sig_atomic_t gave_up = 0;
volatile sig_atomic_t ended_itself = 0;

// A signal handler: it only says what shall happen. The end of a process cannot be swallowed.
void on_rule_timeout() {
    InterruptPending = true;
    if (GetCurrentTimestamp() < running.give_up_at) {
        QueryCancelPending = true;
    } else {
        gave_up = 1;
        ProcDiePending = true;
    }
    SetLatch(MyLatch);
}

// As die, but notes who wants it: pg_terminate_backend by a rule on its own worker would otherwise
// end that again and again, over the same rows.
void on_terminate(int signal, siginfo_t* info, void*) {
    const int saved_errno = errno;
    if (info->si_pid == MyProcPid && running.rules != NULL) ended_itself = 1;
    die(signal);
    errno = saved_errno;
}

void disable_in_transaction(const List* rules, const char* error) {
    if (!begin_extension_transaction()) return;
    SPI_connect();
    List* events = NIL;
    store_lost_worker(rules, error, &events);
    const EventSpan span = write_events(events);
    SPI_finish();
    ForceSyncCommit();
    end_extension_transaction();
    announce_events(span);
    announce_pending();
}

// On the way out, whatever was going on.
void disable_at_exit(int, Datum) {
    if ((gave_up == 0 && ended_itself == 0) || running.rules == NULL) return;
    char error[100];
    if (gave_up != 0) {
        snprintf(error, sizeof(error), "did not end within %d ms and could not be cancelled",
                 running.limit_ms);
    } else {
        strlcpy(error, "ended the worker that evaluated it", sizeof(error));
    }
    const MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
    List* rules = NIL;
    for (int i = 0; i < running.count; i++) rules = lappend(rules, running.rules[i]);
    MemoryContextSwitchTo(caller);
    running.rules = NULL;
    AbortOutOfAnyTransaction();
    disable_in_transaction(rules, error);
}

void prepare_once() {
    if (rule_timeout != MAX_TIMEOUTS) return;
    rule_timeout = RegisterTimeout(USER_TIMEOUT, on_rule_timeout);
    struct sigaction action = {};
    action.sa_sigaction = on_terminate;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    // Before the session is shut down, since it was registered later.
    before_shmem_exit(disable_at_exit, Datum{0});
}

}  // namespace

void start_rule_limit(Rule* const* rules, int count, int limit_ms) {
    prepare_once();
    const TimestampTz now = GetCurrentTimestamp();
    running.limit_ms = limit_ms;
    running.give_up_at =
        TimestampTzPlusMilliseconds(now, static_cast<int64>(limit_ms) + Max(limit_ms, kGraceMs));
    running.count = count;
    running.rules = rules;
    enable_timeout_every(rule_timeout, TimestampTzPlusMilliseconds(now, limit_ms), kCancelAgainMs);
}

void stop_rule_limit() {
    disable_timeout(rule_timeout, false);
    QueryCancelPending = false;
    if (gave_up == 0 && ended_itself == 0) running.rules = NULL;
}

}  // namespace anomaly::pg
