// One bounded read of a topic: from its beginning to where it ended when the read began; complete
// or an error. Owned by a memory context: its handles are closed when that is reset or deleted.
#pragma once

#include "pg/pg.h"
#include "pg/stream.h"

namespace anomaly::pg {

struct Peek;

// Lives in the current memory context. Asks the broker for the ends of the topic, which may take up
// to anomaly.peek_time_limit.
Peek* peek_open(const StreamDefinition* stream);
void peek_close(Peek* peek);
// Begins anew, to the same ends.
void peek_restart(Peek* peek);

// Fills the used columns of the next good message (the others are NULL), in the current memory
// context; false: there are no more.
bool peek_next(Peek* peek, Datum* values, bool* nulls);

// Messages so far that are bad for the stream and were passed over.
int64 peek_bad_count(const Peek* peek);

}  // namespace anomaly::pg
