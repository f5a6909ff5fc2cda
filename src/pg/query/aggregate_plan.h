// How an aggregate of a continuous table is computed: natively, or by PostgreSQL's own functions
// from what core keeps of the messages (core/group/kept_values.h).
#pragma once

#include "core/spec.h"
#include "pg/pg.h"

namespace anomaly::pg {

struct AggregatePlan {
    AggregateKind kind;
    Aggref* aggregate;  // constants folded
    // What core is given of each message, NULL: nothing, as for count(*). A row of type record
    // stands for the bytes of its columns (value_codec.h), one after the other.
    Expr* argument;
    int kept_count;  // arguments that are kept: those that are no constants
    int* kept;       // their places in aggregate->args
    List* direct;    // direct arguments of an ordered-set aggregate, over the group row
};

// PostgreSQL computes the result.
inline bool is_kept(AggregateKind kind) {
    return kind == AggregateKind::kKept || kind == AggregateKind::kKeptDistinct ||
           kind == AggregateKind::kFolded || kind == AggregateKind::kFirst ||
           kind == AggregateKind::kLast;
}

// Raises an error with the reason and a way out for what cannot be maintained. Leaves `direct` to
// the caller. In the current memory context.
AggregatePlan plan_aggregate(const Aggref* aggregate, TableKind table);

// Is the argument one of those rows?
bool is_packed(const Expr* argument);

}  // namespace anomaly::pg
