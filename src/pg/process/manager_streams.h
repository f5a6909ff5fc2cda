// The manager's list of streams and their workers.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

void make_stream_table();

// Marks the streams that shall have a worker: they feed a continuous table and are not paused.
// Inside a transaction. Returns their number.
int read_wanted_streams();
void want_no_streams();

// Starts, restarts and stops workers until they are as wanted; returns when to look again
// (microseconds since 2000), INT64_MAX: when woken.
TimestampTz step_streams();

}  // namespace anomaly::pg
