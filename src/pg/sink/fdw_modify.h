// INSERT INTO and COPY FROM into a stream.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

void set_modify_callbacks(FdwRoutine* routine);

}  // namespace anomaly::pg
