// IMPORT FOREIGN SCHEMA "kafka": a foreign table for each topic, with columns guessed from a sample
// of its messages.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// As the foreign-data wrapper's callback: the CREATE FOREIGN TABLE statements.
List* import_topics(ImportForeignSchemaStmt* statement, Oid server);

}  // namespace anomaly::pg
