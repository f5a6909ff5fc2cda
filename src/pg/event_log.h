// Findings, and the events that tell of them.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// A finding that was not there before; palloc'd.
struct NewFinding {
    pg_uuid_t id;
    Oid table;
};

// Writes the findings (a list of Finding*) of a table that are not there yet, and fires the
// triggers of users. New ones are added to the list (of NewFinding*), in `target`. Needs
// SPI_connect.
void write_findings(Oid table, const List* findings, MemoryContext target, List** new_findings);

// Writes an event for each new finding and each notice (of a list of RuleNotice*); the last thing
// before the commit, since the row of event_head stays locked until then. Returns the number of
// events; *last_seq is the last one's. Needs SPI_connect.
int64 write_events(const List* new_findings, const List* notices, int64* last_seq);

}  // namespace anomaly::pg
