// Events and findings that are older than the settings say.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Removes some of them, if it is time: now and then, and when a setting has changed. Returns when
// it is to be called again. Needs no transaction.
TimestampTz remove_old(TimestampTz due);

}  // namespace anomaly::pg
