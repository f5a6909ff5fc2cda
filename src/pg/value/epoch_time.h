// Numbers that are times: option unit.
#pragma once

#include "core/spec.h"
#include "pg/pg.h"

namespace anomaly::pg {

// The timestamptz, or timestamp in the TimeZone in force, that the number counts from 1970-01-01
// 00:00 UTC, rounded to microseconds and to the type's modifier. Raises an error out of range.
Datum epoch_time(Datum numeric, TimeUnit unit, Oid type, int32 typmod);

}  // namespace anomaly::pg
