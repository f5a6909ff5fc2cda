// NOTIFY anomaly: the hint that there are new events. It is sent at once if the last one is long
// enough ago, and else at most 100 ms later; the last one is always sent, also on the way out. It
// has a transaction of its own that waits for nobody: who cannot be told now is told later.
#pragma once

#include "pg/event/event_log.h"
#include "pg/pg.h"

namespace anomaly::pg {

// There are these new events. Needs no transaction.
void announce_events(const EventSpan& span);

// When announce_pending should be called; INT64_MAX: there is nothing to tell.
int64 announce_due_us();
void announce_pending();

}  // namespace anomaly::pg
