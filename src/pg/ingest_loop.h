// The ingest path of one stream.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Runs until the stream has nothing to feed any more; returns then. An ERROR ends the process.
void ingest_run(Oid stream);

}  // namespace anomaly::pg
