// The aggregates anomaly.first and anomaly.last: the value of the row with the smallest, or the
// largest, time. Of equal times first takes the row that comes first, and last the one that comes
// last. A row without a time does not count.
#include "pg/pg.h"

namespace anomaly::pg {

namespace {

struct Best {
    TimestampTz time;
    Datum value;
    bool is_null;
    bool by_value;
    int16 length;
};

Best* make_best(FunctionCallInfo fcinfo, MemoryContext context) {
    const Oid type = get_fn_expr_argtype(fcinfo->flinfo, 1);
    if (!OidIsValid(type)) elog(ERROR, "could not determine the type of the value");
    Best* best = static_cast<Best*>(MemoryContextAllocZero(context, sizeof(Best)));
    get_typlenbyval(type, &best->length, &best->by_value);
    best->is_null = true;
    return best;
}

void keep_value(Best* best, FunctionCallInfo fcinfo, MemoryContext context) {
    if (!best->is_null && !best->by_value) pfree(DatumGetPointer(best->value));
    best->is_null = PG_ARGISNULL(1);
    if (best->is_null) return;
    const MemoryContext caller = MemoryContextSwitchTo(context);
    best->value = datumCopy(PG_GETARG_DATUM(1), best->by_value, best->length);
    MemoryContextSwitchTo(caller);
}

// (state internal, value anyelement, time timestamptz)
Datum take_row(FunctionCallInfo fcinfo, bool last) {
    MemoryContext context;
    if (!AggCheckCallContext(fcinfo, &context)) {
        elog(ERROR, "the transition function was called outside of an aggregate");
    }
    Best* best = PG_ARGISNULL(0) ? NULL : reinterpret_cast<Best*>(PG_GETARG_POINTER(0));
    if (PG_ARGISNULL(2)) {
        if (best == NULL) PG_RETURN_NULL();
        PG_RETURN_POINTER(best);
    }
    const TimestampTz time = PG_GETARG_TIMESTAMPTZ(2);
    if (best != NULL && (last ? time < best->time : time >= best->time)) PG_RETURN_POINTER(best);
    if (best == NULL) best = make_best(fcinfo, context);
    keep_value(best, fcinfo, context);
    best->time = time;
    PG_RETURN_POINTER(best);
}

}  // namespace

ANOMALY_FUNCTION(anomaly_first_transition) {
    return take_row(fcinfo, false);
}

ANOMALY_FUNCTION(anomaly_last_transition) {
    return take_row(fcinfo, true);
}

// (state internal, value anyelement, time timestamptz): the last two tell the type only.
ANOMALY_FUNCTION(anomaly_first_last_final) {
    if (PG_ARGISNULL(0)) PG_RETURN_NULL();
    const Best* best = reinterpret_cast<Best*>(PG_GETARG_POINTER(0));
    if (best->is_null) PG_RETURN_NULL();
    PG_RETURN_DATUM(best->value);
}

}  // namespace anomaly::pg
