// The one hook on statements. Ordinary ones pay for a look at their node tag and nothing else.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

void install_utility_hook();

}  // namespace anomaly::pg
