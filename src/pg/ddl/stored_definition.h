// Definitions of continuous tables as they are stored, read to see what a statement would do to
// them.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

struct StoredDefinition {
    Oid table;
    const char* settings;
    const char* text;
    Query* query;
};

// NULL: it cannot be read. That is no matter of the statement; its table shows it.
StoredDefinition* read_stored_definition(Oid table);

}  // namespace anomaly::pg
