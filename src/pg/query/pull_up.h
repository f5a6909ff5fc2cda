// Sub-selects in FROM, and WITH queries, that only choose, name and filter rows, written into the
// query around them.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Changes the query in place, which may afterwards be read but not executed: the rights of its
// range table are not kept. What cannot be pulled up stays a sub-select.
void pull_up_subselects(Query* query);

}  // namespace anomaly::pg
