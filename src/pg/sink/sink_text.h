// Parts of messages that are no JSON values: fields of CSV, times as numbers, headers.
#pragma once

#include "bridge/sink.h"
#include "core/spec.h"
#include "pg/pg.h"

namespace anomaly::pg {

// A field of CSV, as COPY writes it; NULL: a null. `rest`: it is not the first of its line.
void append_csv_field(StringInfo out, const CsvSpec* csv, const char* text, bool rest);

// A timestamptz as a number of units since 1970, in decimal notation. Raises an error for
// infinities.
void append_epoch(StringInfo out, TimestampTz time, TimeUnit unit);

// {"name": "value", "other": null}, in UTF-8. Raises an error for anything else.
bridge::SinkHeader* headers_of(Jsonb* object, int32* count);

}  // namespace anomaly::pg
