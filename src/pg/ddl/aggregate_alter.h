// CREATE OR REPLACE AGGREGATE, where continuous tables keep states of it.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Those of the name that continuous tables use, as they are: NULL if the statement replaces none.
const char* aggregates_replaced_by(Node* statement);
// After the statement: raises an error if they are others now. What was computed by them would be
// read as something else.
void check_replaced_aggregates(Node* statement, const char* before);

}  // namespace anomaly::pg
