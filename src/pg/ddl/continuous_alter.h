// What may not be done to a continuous table by ALTER and its kin, and why. Everything else works
// as it does with any table.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Raises an error, with the reason and the way out, when the statement would break a continuous
// table: change its columns, let data stop it, take its guard away, or show rows not its own.
void check_continuous_alter(Node* statement);

constexpr const char kOnlyWorkerWrites[] = "Only its stream's worker writes it.";

}  // namespace anomaly::pg
