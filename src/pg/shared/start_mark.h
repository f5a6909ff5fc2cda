// A durable mark that a stream worker has started and not yet got anywhere. A crash takes the
// server and all memory of it down; the mark stays, and keeps a message that crashes the worker
// from doing so again and again at full speed.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// At the worker's start, on disk before it reads anything. Needs no transaction. False: the
// extension is gone.
bool set_start_mark(Oid stream);

// When the worker has come as far as a commit (needs that transaction and SPI), or has nothing to
// read. Does nothing after the first time.
void clear_start_mark_in_commit(Oid stream);
bool clear_start_mark(Oid stream);

// After several starts that came to nothing a worker takes its messages one at a time, so that the
// one that ends it is known: each is marked, on disk, before anything looks into it. True: the
// message has ended the worker often enough, put it aside. *gone: the extension is.
bool is_careful();
bool mark_suspect(Oid stream, int32 partition, int64 offset, bool* gone);
// What was suspected is behind.
void end_care();

// The earliest next start after so many unfinished ones.
TimestampTz next_start_after(int unfinished_starts, TimestampTz started_at);

}  // namespace anomaly::pg
