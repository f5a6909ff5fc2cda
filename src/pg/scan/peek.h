// One bounded read of a topic: as far as it went when the read began, or less where conditions say
// so; complete or an error. Owned by a memory context: its handles are closed when that is reset or
// deleted.
#pragma once

#include "bridge/ingest.h"
#include "pg/pg.h"
#include "pg/scan/scan_condition.h"
#include "pg/stream/stream.h"

namespace anomaly::pg {

struct Peek;

// Lives in the current memory context. Asks the broker for the ends of the topic, which may take up
// to anomaly.peek_time_limit.
Peek* peek_open(const StreamDefinition* stream, const ScanBounds* bounds);
void peek_close(Peek* peek);
// Begins anew, to the same ends of the topic.
void peek_restart(Peek* peek, const ScanBounds* bounds);

// Fills the used columns of the next good message (the others are NULL), in the current memory
// context; false: there are no more.
bool peek_next(Peek* peek, Datum* values, bool* nulls);

// The message of the row that was given last, until the next one is wanted.
bridge::RawMessage peek_message(const Peek* peek);

// Messages so far that are bad for the stream and were passed over.
int64 peek_bad_count(const Peek* peek);

// What is read of a partition.
struct PeekRange {
    int32 partition;
    int64 from;
    int64 to;  // first offset after it
};
// Of the last start; ranges without a message are left out.
const PeekRange* peek_ranges(const Peek* peek, int* count);
// Partitions that the topic has.
int peek_partition_count(const Peek* peek);
// Messages that came from the broker so far, good and bad.
int64 peek_message_count(const Peek* peek);

}  // namespace anomaly::pg
