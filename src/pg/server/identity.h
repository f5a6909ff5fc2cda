// Which cluster and database the extension's tables were filled in. A copy must not consume and
// alert a second time, so it waits until somebody says that it shall.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

enum class Identity : uint8 { kUnknown, kOurs, kForeign };

// Both in a transaction of the caller.
Identity check_identity();
// From now on this database is the one.
void write_identity();

}  // namespace anomaly::pg
