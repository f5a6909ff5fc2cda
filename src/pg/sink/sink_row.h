// From a row that is inserted into a stream to the message that its decoder reads back as that row.
#pragma once

#include "bridge/sink.h"
#include "pg/pg.h"
#include "pg/stream/stream.h"

namespace anomaly::pg {

struct RowWriter;

// In the current memory context. Raises an error for a stream whose rows cannot be written.
RowWriter* row_writer_create(const StreamDefinition* stream);

// The message lives until the next call. Generated columns are left out: who reads computes them.
const bridge::SinkMessage* row_writer_message(RowWriter* writer, const Datum* values,
                                              const bool* nulls);

}  // namespace anomaly::pg
