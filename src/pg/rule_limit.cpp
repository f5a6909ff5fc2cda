// Cancels rules, and what is done about one that will not be cancelled.
#include "pg/rule_limit.h"

#include "pg/announce.h"
#include "pg/event_log.h"
#include "pg/extension_lock.h"
#include "pg/guc.h"
#include "pg/plan.h"
#include "pg/rule_outcome.h"
#include "pg/shmem.h"

namespace anomaly::pg {

namespace {

constexpr int kCancelAgainMs = 100;
// After its limit a rule has as long again to heed its cancel, and at least this.
constexpr int kGraceMs = 2000;

TimeoutId rule_timeout = MAX_TIMEOUTS;
const char* running_rule = NULL;
TimestampTz give_up_at = 0;
volatile sig_atomic_t gave_up = 0;

// A signal handler: it only says what shall happen. The end of a process cannot be swallowed.
void on_rule_timeout() {
    InterruptPending = true;
    if (GetCurrentTimestamp() < give_up_at) {
        QueryCancelPending = true;
    } else {
        gave_up = 1;
        ProcDiePending = true;
    }
    SetLatch(MyLatch);
}

// Never waits for who changes the rule. False: it is gone, or held.
bool disable(const char* rule, const char* error, RuleNotice* notice) {
    static Plan update = {
        "WITH free AS (SELECT r.name FROM anomaly.rule r WHERE r.name = $1 "
        "FOR NO KEY UPDATE SKIP LOCKED) "
        "UPDATE anomaly.rule r SET enabled = false, errors = r.errors + 1, "
        "failures = r.failures + 1, last_error = $2, last_error_at = clock_timestamp() "
        "FROM free, pg_class c WHERE r.name = free.name AND c.oid = r.relid "
        "RETURNING r.errors, c.relname::text, r.relid::oid",
        NULL};
    const CatalogArgument arguments[] = {argument_text(rule), argument_text(error)};
    if (run_plan(&update, arguments, lengthof(arguments), SPI_OK_UPDATE_RETURNING) == 0) {
        return false;
    }
    bool is_null = false;
    const SPITupleTable* rows = SPI_tuptable;
    notice->rule = rule;
    notice->table = DatumGetObjectId(SPI_getbinval(rows->vals[0], rows->tupdesc, 3, &is_null));
    notice->errors = DatumGetInt64(SPI_getbinval(rows->vals[0], rows->tupdesc, 1, &is_null));
    notice->table_name = SPI_getvalue(rows->vals[0], rows->tupdesc, 2);
    notice->message = psprintf("rule \"%s\" %s", rule, error);
    return true;
}

void disable_in_transaction(const char* rule, const char* error) {
    if (!begin_extension_transaction()) return;
    SPI_connect();
    RuleNotice notice = {};
    int64 last_seq = 0;
    int64 event_count = 0;
    if (disable(rule, error, &notice)) {
        event_count = write_events(NIL, list_make1(&notice), &last_seq);
    }
    SPI_finish();
    ForceSyncCommit();
    end_extension_transaction();
    announce_events(last_seq, event_count);
    announce_pending();
}

// On the way out, whatever was going on.
void disable_at_exit(int, Datum) {
    if (gave_up == 0 || running_rule == NULL) return;
    const char* rule = running_rule;
    running_rule = NULL;
    AbortOutOfAnyTransaction();
    char error[100];
    snprintf(error, sizeof(error), "did not end within %d ms and could not be cancelled: disabled",
             settings.rule_time_limit_ms);
    ereport(LOG, (errmsg("rule \"%s\" %s", rule, error),
                  errhint("Mend its function, then use anomaly.enable_rule.")));
    disable_in_transaction(rule, error);
}

}  // namespace

void start_rule_limit(const char* rule) {
    if (rule_timeout == MAX_TIMEOUTS) {
        rule_timeout = RegisterTimeout(USER_TIMEOUT, on_rule_timeout);
        // Before the session is shut down, since it was registered later.
        before_shmem_exit(disable_at_exit, Datum{0});
    }
    const TimestampTz now = GetCurrentTimestamp();
    const int limit_ms = settings.rule_time_limit_ms;
    running_rule = rule;
    give_up_at =
        TimestampTzPlusMilliseconds(now, static_cast<int64>(limit_ms) + Max(limit_ms, kGraceMs));
    enable_timeout_every(rule_timeout, TimestampTzPlusMilliseconds(now, limit_ms), kCancelAgainMs);
}

void stop_rule_limit() {
    disable_timeout(rule_timeout, false);
    QueryCancelPending = false;
    if (gave_up == 0) running_rule = NULL;
}

}  // namespace anomaly::pg
