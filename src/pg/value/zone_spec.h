// PostgreSQL's time zones as core takes them.
#pragma once

#include "core/spec.h"
#include "pg/pg.h"

namespace anomaly::pg {

// All changes of the zone's offset, in the current memory context.
ZoneSpec zone_spec(const pg_tz* zone);

}  // namespace anomaly::pg
