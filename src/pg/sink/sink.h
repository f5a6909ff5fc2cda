// Where rows that are inserted into streams go: one Kafka cluster, as one user. Its Kafka
// transaction is committed at the end of ours; what is rolled back, a savepoint too, is not sent or
// never becomes visible.
#pragma once

#include "bridge/sink.h"
#include "pg/pg.h"

namespace anomaly::pg {

struct Sink;

// The sink for this transaction; kept for the session's next one. Raises an error when this
// transaction writes in a Kafka transaction of another cluster, or as another user, already.
Sink* sink_open(Oid server, Oid user);

// The message is copied.
void sink_write(Sink* sink, const bridge::SinkMessage* message);
// To be called now and then: sends when there is much, and waits when the broker cannot follow.
// Raises an error when something was not delivered.
void sink_pace(Sink* sink);

}  // namespace anomaly::pg
