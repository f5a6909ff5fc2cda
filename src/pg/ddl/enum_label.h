// ALTER TYPE ... RENAME VALUE, where continuous tables know values by their labels.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Group keys and states of aggregates are stored with labels: raises an error if those of a
// continuous table hold values of the type, or if its query makes text of them. What else there is
// of the type (rows, constants in a definition) follows the new label.
void check_label_rename(const AlterEnumStmt* alter);

}  // namespace anomaly::pg
