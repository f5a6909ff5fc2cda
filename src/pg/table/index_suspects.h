// Which of a user's indexes may be why a row could not be written.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Names of the table's indexes that compute something for each row: an expression or a condition.
// NULL: none. An error in one does not say where it comes from.
const char* computing_indexes(Oid table);

}  // namespace anomaly::pg
