// Rows whose key is longer than a b-tree takes: they cannot be written, whatever one does.
#pragma once

#include "pg/pg.h"
#include "pg/query/definition.h"

namespace anomaly::pg {

// Is the key's size a question at all? Cheap. `row`: the table's columns come first in it.
bool may_be_long(const TableDefinition* definition, TupleDesc row, const Datum* values,
                 const bool* nulls);

// Raises an error if the key index of the table cannot take the row, as its INSERT would.
void check_key_size(Oid table, const Datum* values, const bool* nulls);

}  // namespace anomaly::pg
