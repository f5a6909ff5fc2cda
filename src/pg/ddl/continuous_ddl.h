// CREATE TABLE ... WITH (anomaly.continuous) AS SELECT, and what may later be done to such a table.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// From the ProcessUtility hook: true if the statement made a continuous table. Statements that
// would break a continuous table raise an error; all others are left alone.
bool handle_continuous_statement(PlannedStmt* statement, const char* query_string);

// While true, this process writes continuous tables and their guard lets it.
void allow_table_writes(bool allow);

// Forgets what the catalog holds of a relation or guard trigger that is being dropped.
void install_continuous_drop_hook();

// Has the relation the guard trigger, without which a table is no longer continuous?
bool has_guard(Oid relation);

// Is this an entry of anomaly.continuous_table?
bool is_continuous_table(Oid relation);
// Raises an error unless it is.
void require_continuous_table(Oid relation);

}  // namespace anomaly::pg
