// Makes a continuous table: an ordinary table with the key of its query, a guard trigger that keeps
// others from writing it, and an entry in the catalog that the manager finds.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// `query` is analyzed and may be scribbled on.
void create_continuous_table(const IntoClause* into, Query* query, bool if_not_exists,
                             const char* query_string);

// The query as SQL, all names qualified: it means the same under any search_path. Scribbles on it.
char* qualified_text(Query* query);

constexpr const char kGuardTriggerName[] = "anomaly_guard";

}  // namespace anomaly::pg
