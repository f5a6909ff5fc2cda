// Findings and the events that tell of them.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Writes the findings (a list of Finding*) that are not there yet and one event for each, and one
// for each notice (a list of RuleNotice*); the last thing before the commit, since the row of
// event_head stays locked until then. Returns the number of events; *last_seq is the last one's.
int64 write_events(const List* findings, const List* notices, int64* last_seq);

// Tells listeners that there are events up to last_seq: a hint, in a transaction of its own, at
// once if the last one is long enough ago. Needs no transaction.
void notify_events(int64 last_seq, int64 event_count);

// A hint that was put off, or INT64_MAX: when notify_pending should be called.
int64 notify_due_us();
void notify_pending();

}  // namespace anomaly::pg
