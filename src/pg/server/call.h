// From a bridge's Status to an SQL error, in one place.
#pragma once

#include "bridge/status.h"
#include "pg/pg.h"

namespace anomaly::pg {

// Raises an error unless the status is fine.
void check(const bridge::Status& status);

}  // namespace anomaly::pg
