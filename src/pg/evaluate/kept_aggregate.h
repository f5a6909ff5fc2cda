// An aggregate that PostgreSQL's functions compute of what core keeps: entries into a state,
// entries or a state into the result. Used by the process that holds the values, as the table's
// owner.
#pragma once

#include "bridge/ingest.h"
#include "pg/pg.h"
#include "pg/query/aggregate_plan.h"

namespace anomaly::pg {

struct KeptAggregate;

// In the current memory context, which must live as long. An error while it is used leaves it
// unusable; the context can go then.
KeptAggregate* make_kept_aggregate(const AggregatePlan* plan);

// The state with the entries in it, as bytes for ingest_put_state in the current memory context.
StringInfoData fold_values(KeptAggregate* kept, const bridge::PendingValues& values);
// The state of a group whose fold failed: its result raises this error ever after.
StringInfoData failed_state(const char* reason);

// The result for a group. image: what core gives of it, NULL: nothing is kept. group_row: what the
// direct arguments are evaluated over.
Datum kept_result(KeptAggregate* kept, const char* image, uint64 size, ExprContext* group_row,
                  bool* is_null);

}  // namespace anomaly::pg
