// The stored definitions of continuous tables are texts. When what they name is renamed or moved,
// they follow, as views do: the stream, its columns, functions, types and their labels, schemas.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Before the statement is run: the definitions that it may make others. NIL: none.
List* definitions_renamed_by(Node* statement);

// After it was run: writes those that have become others.
void store_renamed_definitions(const List* definitions);

}  // namespace anomaly::pg
