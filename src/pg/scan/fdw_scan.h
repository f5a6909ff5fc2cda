// The executor side of a foreign scan of a stream.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// The plan's private list holds the attribute numbers to read (zeroes do not count), NIL: all; its
// expressions are the conditions that say where to read.
void set_scan_callbacks(FdwRoutine* routine);

}  // namespace anomaly::pg
