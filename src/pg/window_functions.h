// tumble: windows of time, the same over streams and over ordinary tables.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Is this one of the extension's functions tumble(timestamp ..., interval, interval)?
bool is_tumble_function(Oid function);

}  // namespace anomaly::pg
