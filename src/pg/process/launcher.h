// The launcher's registration; it runs in a process of its own.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// From _PG_init, while shared_preload_libraries are loaded.
void register_launcher();

}  // namespace anomaly::pg
