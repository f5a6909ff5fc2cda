// The shell of a stream worker's process; what it does is in ingest_loop.
#include "pg/ingest/ingest_loop.h"
#include "pg/process/worker_session.h"
#include "pg/shared/lock_limit.h"

namespace anomaly::pg {

namespace {

void run(const WorkerOrder& order) {
    pgstat_report_activity(STATE_RUNNING, "starting");
    ingest_run(order.key.stream);
}

}  // namespace

}  // namespace anomaly::pg

ANOMALY_EXPORT void anomaly_stream_worker_main(Datum) {
    const anomaly::pg::WorkerOrder* order = NULL;
    anomaly::pg::note_lock_timeouts();
    if (anomaly::pg::open_worker_session(&order)) {
        anomaly::pg::run_worker_body(anomaly::pg::run, *order);
    }
}
