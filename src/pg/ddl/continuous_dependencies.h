// What a continuous table depends on. Its guard trigger carries that: dropping the stream, a
// function of the query or the key index with CASCADE drops the guard, and what is left is a plain
// table with its rows.
#pragma once

#include "pg/pg.h"
#include "pg/query/definition.h"

namespace anomaly::pg {

// query: the table's, analyzed.
void record_dependencies(Oid table, Oid guard, Query* query);

// pg_dump does not carry dependencies of this kind: records those that are missing, of all
// continuous tables of the database.
void rebuild_dependencies();

}  // namespace anomaly::pg
