// The life of a stream worker between its start and its end.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Reads the stream into its continuous tables until there is nothing left to do (no table, stream
// or extension) or the process is told to end. Called by the worker's main outside a transaction.
void ingest_run(Oid stream);

}  // namespace anomaly::pg
