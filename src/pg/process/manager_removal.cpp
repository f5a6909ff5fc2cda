// What is old is removed in small transactions. Somebody's lock, or a trigger of theirs on
// anomaly.finding_log that raises, may hold that up, and nothing else that the manager does.
#include "pg/process/manager_removal.h"

#include "pg/event/event_head.h"
#include "pg/rule/finding.h"
#include "pg/server/guc.h"
#include "pg/server/subtransaction.h"
#include "pg/shared/extension_lock.h"
#include "pg/shared/lock_limit.h"

namespace anomaly::pg {

namespace {

// Streams that rest are not woken meanwhile.
constexpr int kLockLimitMs = 1000;

struct Removal {
    const char* what;
    bool (*remove)();
    bool goes_on;     // there may be more
    char error[256];  // the last time, "": none
};

void removal_step(void* argument) {
    Removal* removal = static_cast<Removal*>(argument);
    const int nest_level = begin_lock_limit(kLockLimitMs);
    SPI_connect();
    removal->goes_on = removal->remove();
    SPI_finish();
    AtEOXact_GUC(false, nest_level);
}

// Once for as long as it lasts.
void complain(Removal* removal, const ErrorData* error) {
    char before[sizeof(removal->error)];
    strlcpy(before, removal->error, sizeof(before));
    strlcpy(removal->error, error == NULL ? "" : error->message, sizeof(removal->error));
    if (error == NULL || strcmp(before, removal->error) == 0) return;
    ereport(LOG, (errmsg("anomaly cannot remove old %s: %s", removal->what, error->message),
                  errdetail("They stay, and it is tried again.")));
}

bool remove_some(Removal* removal) {
    removal->goes_on = false;
    if (!begin_extension_transaction()) return false;
    complain(removal, run_in_subtransaction(removal_step, removal, Containment::kTable));
    end_extension_transaction();
    pgstat_report_stat(false);
    return removal->goes_on;
}

}  // namespace

// Events first, then what they tell of.
TimestampTz remove_old(TimestampTz due) {
    constexpr int64 kIntervalUs = 60 * USECS_PER_SEC;
    static Removal events = {"events", remove_old_events, false, ""};
    static Removal findings = {"findings", remove_old_findings, false, ""};
    static int last_settings[2] = {-1, -1};
    const TimestampTz now = GetCurrentTimestamp();
    const bool as_before = settings.event_retention_s == last_settings[0] &&
                           settings.finding_retention_s == last_settings[1];
    if (now < due && as_before) return due;
    last_settings[0] = settings.event_retention_s;
    last_settings[1] = settings.finding_retention_s;
    if (settings.paused) return now + kIntervalUs;
    return remove_some(&events) || remove_some(&findings) ? now : now + kIntervalUs;
}

}  // namespace anomaly::pg
