// One aggregate of PostgreSQL, run by its own functions over values that are handed in: what the
// executor's Agg node does for one group, with a state that can be taken out and put in again.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

struct AggregateCall;

// A group's transition state.
struct TransitionState {
    Datum value;
    bool is_null;
    bool is_empty;  // strict, and no input yet: the first one becomes the state
};

// In the current memory context, which must live as long as the call. Checks that the current user
// may call the aggregate. An error while it is used leaves it unusable.
AggregateCall* make_aggregate_call(Aggref* aggregate);

// Begins a group, with the state of no rows.
void begin_group(AggregateCall* call);
// One row: the values of aggregate->args, in their order.
void add_row(AggregateCall* call, const Datum* values, const bool* nulls);
// After the last row. direct: the direct arguments of an ordered-set aggregate.
Datum finish_group(AggregateCall* call, const Datum* direct, const bool* direct_nulls,
                   bool* is_null);

// For an aggregate without ORDER BY and DISTINCT: its state after begin_group and any rows. The
// state that is put in must live as long as the group.
TransitionState group_state(const AggregateCall* call);
void set_group_state(AggregateCall* call, const TransitionState& state);
// Where such a state may live: gone with the next begin_group.
MemoryContext group_context(const AggregateCall* call);

// Of the transition state: its type, and the functions that make bytes of an internal one.
struct TransitionType {
    Oid type;
    Oid transition;   // function
    Oid serialize;    // InvalidOid: none
    Oid deserialize;  // InvalidOid: none
};
TransitionType transition_type(const Aggref* aggregate);
Datum serialize_state(AggregateCall* call, Datum state);  // bytea
Datum deserialize_state(AggregateCall* call, Datum bytes);

}  // namespace anomaly::pg
