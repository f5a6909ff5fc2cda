// Option group_id of a stream: how far it is, told to the broker as the offsets of a consumer
// group. A mirror for tools that show lag: it is never read.
#pragma once

#include "pg/ingest/stream_run.h"

namespace anomaly::pg {

// To be called between commits. Tells what all tables of the stream have taken in, at most about
// once a second; while one of them is behind, nothing.
void mirror_positions(StreamRun* run);
// When to call next, PG_INT64_MAX: after the next commit.
int64 mirror_due_us(const StreamRun* run);

}  // namespace anomaly::pg
