// Folds what came since the last commit into the states of the aggregates that PostgreSQL's own
// transition functions compute.
#pragma once

#include "pg/ingest/stream_run.h"

namespace anomaly::pg {

// To be called before ingest_prepare_commit, outside of a transaction. A transition that raises an
// error leaves its group without a result, not the table without its commit; where the aggregate
// cannot be called at all, the table fails. False: the extension is gone.
bool fold_aggregates(StreamRun* run, RunReader* reader);

}  // namespace anomaly::pg
