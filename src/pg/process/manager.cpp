// The manager of one database: reads the catalog, keeps a worker for each stream that feeds
// something, and ends when the extension is gone. PostgreSQL restarts none of them; the launcher
// restarts managers, managers restart stream workers.
#include "pg/process/manager_removal.h"
#include "pg/process/manager_rests.h"
#include "pg/process/manager_streams.h"
#include "pg/process/worker_session.h"
#include "pg/server/guc.h"
#include "pg/server/identity.h"
#include "pg/shared/extension_lock.h"
#include "pg/shared/wait.h"

namespace anomaly::pg {

namespace {

bool complained_of_identity = false;

// A copy of another database's tables runs nothing until somebody says so.
bool may_run(int stream_count) {
    if (stream_count == 0) return false;
    switch (check_identity()) {
        case Identity::kUnknown:
            write_identity();
            return true;
        case Identity::kOurs:
            complained_of_identity = false;
            return true;
        case Identity::kForeign:
            break;
    }
    if (!complained_of_identity) {
        ereport(LOG, (errmsg("anomaly runs no streams in database \"%s\": its tables come from "
                             "another cluster or database",
                             get_database_name(MyDatabaseId)),
                      errhint("To let this copy consume and alert, call anomaly.resume() in it.")));
    }
    complained_of_identity = true;
    return false;
}

// One look at the catalog; false: the extension is gone.
bool read_catalog() {
    if (!begin_extension_transaction()) return false;
    pgstat_report_activity(STATE_RUNNING, "reading the catalog of anomaly");
    const int count = settings.paused ? 0 : read_wanted_streams();
    if (!may_run(count)) want_no_streams();
    end_extension_transaction();
    pgstat_report_stat(false);
    pgstat_report_activity(STATE_IDLE, NULL);
    return true;
}

// News of a topic are no reason to look at the catalog.
void wait_until_woken(TimestampTz due) {
    while (!is_wanted()) {
        const Fired fired = wait_for_events(rests_fd(), due);
        if (fired.fd) take_rest_news();
        if (fired.latch || fired.deadline) return;
    }
}

void run(const WorkerOrder&) {
    make_stream_table();
    TimestampTz removal_due = 0;
    for (;;) {
        reload_configuration_if_asked();
        take_reload_request();  // whatever was asked for until now, this look sees
        if (!read_catalog()) {
            publish_ending(Ending::kNoExtension);
            return;
        }
        const TimestampTz next = step_streams();
        step_rests();
        publish_state(StreamState::kRunning);
        const TimestampTz due = remove_old(removal_due);
        // Who has removed something may have missed meanwhile that a worker has ended.
        wait_until_woken(due == removal_due ? Min(next, due) : GetCurrentTimestamp());
        removal_due = due;
    }
}

}  // namespace

}  // namespace anomaly::pg

ANOMALY_EXPORT void anomaly_manager_main(Datum) {
    const anomaly::pg::WorkerOrder* order = NULL;
    if (anomaly::pg::open_worker_session(&order)) {
        anomaly::pg::run_worker_body(anomaly::pg::run, *order);
    }
}
