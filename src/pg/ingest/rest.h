// A stream in which nothing has happened for long lets its client go: the manager of the database
// watches the topic's ends for all of them, with one client (pg/process/manager_rests).
#pragma once

#include "pg/ingest/stream_run.h"

namespace anomaly::pg {

// Asks, rests or wakes, as things are. To be called before the worker waits, when nothing is left
// to do. Its readers are to be polled as ever.
void step_rest(StreamRun* run);
// When to call it again; PG_INT64_MAX: when woken.
int64 rest_due_us(const StreamRun* run);

}  // namespace anomaly::pg
