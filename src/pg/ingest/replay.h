// anomaly.replay_dead_letters: the worker decodes dead letters again, for each table that has
// missed them, and takes in what now fits. A commit is of letters alone, of one table: what it
// takes in and the letters' end commit together.
#pragma once

#include "pg/ingest/stream_run.h"

namespace anomaly::pg {

struct Replay {
    const RunTable* table;
    Datum ids;  // of the letters, a bigint[]
};

// Marks the letters that users have asked for. Needs a transaction; before the tables are loaded.
void take_replay_requests(Oid stream);

// One batch for each table that has any. Needs no transaction. False: the extension is gone.
bool replay_letters(StreamRun* run, bool* busy);

// In a commit, with SPI connected. In the table's part: it has tried these letters.
void replay_done(const Replay* replay);
// At its end: letters that no table misses any more are gone. Those of a table that was left behind
// for want of a lock come again.
void end_replay(const Replay* replay);

}  // namespace anomaly::pg
