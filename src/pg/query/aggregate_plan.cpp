#include "pg/query/aggregate_plan.h"

#include "pg/value/aggregate_call.h"
#include "pg/value/cell_codec.h"
#include "pg/value/value_codec.h"

namespace anomaly::pg {

namespace {

struct KnownAggregate {
    Oid function;
    AggregateKind kind;
};

// Aggregates that core keeps. The argument's type tells it the rest.
constexpr KnownAggregate kKnownAggregates[] = {
    {F_COUNT_, AggregateKind::kCountStar},
    {F_COUNT_ANY, AggregateKind::kCount},
    {F_SUM_INT2, AggregateKind::kSum},
    {F_SUM_INT4, AggregateKind::kSum},
    {F_SUM_INT8, AggregateKind::kSum},
    {F_SUM_FLOAT4, AggregateKind::kSum},
    {F_SUM_FLOAT8, AggregateKind::kSum},
    {F_AVG_INT2, AggregateKind::kAvg},
    {F_AVG_INT4, AggregateKind::kAvg},
    {F_AVG_INT8, AggregateKind::kAvg},
    {F_AVG_FLOAT4, AggregateKind::kAvg},
    {F_AVG_FLOAT8, AggregateKind::kAvg},
    {F_MIN_INT2, AggregateKind::kMin},
    {F_MIN_INT4, AggregateKind::kMin},
    {F_MIN_INT8, AggregateKind::kMin},
    {F_MIN_FLOAT4, AggregateKind::kMin},
    {F_MIN_FLOAT8, AggregateKind::kMin},
    {F_MIN_DATE, AggregateKind::kMin},
    {F_MIN_TIMESTAMP, AggregateKind::kMin},
    {F_MIN_TIMESTAMPTZ, AggregateKind::kMin},
    {F_MAX_INT2, AggregateKind::kMax},
    {F_MAX_INT4, AggregateKind::kMax},
    {F_MAX_INT8, AggregateKind::kMax},
    {F_MAX_FLOAT4, AggregateKind::kMax},
    {F_MAX_FLOAT8, AggregateKind::kMax},
    {F_MAX_DATE, AggregateKind::kMax},
    {F_MAX_TIMESTAMP, AggregateKind::kMax},
    {F_MAX_TIMESTAMPTZ, AggregateKind::kMax},
    {F_BOOL_AND, AggregateKind::kBoolAnd},
    {F_EVERY, AggregateKind::kBoolAnd},
    {F_BOOL_OR, AggregateKind::kBoolOr},
    {F_MIN_TEXT, AggregateKind::kMin},
    {F_MAX_TEXT, AggregateKind::kMax},
    {F_VAR_POP_FLOAT4, AggregateKind::kVarPop},
    {F_VAR_POP_FLOAT8, AggregateKind::kVarPop},
    {F_VAR_SAMP_FLOAT4, AggregateKind::kVarSamp},
    {F_VAR_SAMP_FLOAT8, AggregateKind::kVarSamp},
    {F_VARIANCE_FLOAT4, AggregateKind::kVarSamp},
    {F_VARIANCE_FLOAT8, AggregateKind::kVarSamp},
    {F_STDDEV_POP_FLOAT4, AggregateKind::kStddevPop},
    {F_STDDEV_POP_FLOAT8, AggregateKind::kStddevPop},
    {F_STDDEV_SAMP_FLOAT4, AggregateKind::kStddevSamp},
    {F_STDDEV_SAMP_FLOAT8, AggregateKind::kStddevSamp},
    {F_STDDEV_FLOAT4, AggregateKind::kStddevSamp},
    {F_STDDEV_FLOAT8, AggregateKind::kStddevSamp},
};

Expr* argument_at(const Aggref* aggregate, int i) {
    return list_nth_node(TargetEntry, aggregate->args, i)->expr;
}

Type argument_type(const Aggref* aggregate) {
    const Node* argument = reinterpret_cast<Node*>(argument_at(aggregate, 0));
    return core_type(exprType(argument));
}

bool find_native(const Aggref* aggregate, AggregateKind* kind) {
    if (aggregate->aggorder != NIL || aggregate->aggdistinct != NIL || aggregate->aggvariadic) {
        return false;
    }
    for (const KnownAggregate& known : kKnownAggregates) {
        if (known.function != aggregate->aggfnoid) continue;
        *kind = known.kind;
        // Core knows one order of texts.
        if (known.function == F_MIN_TEXT || known.function == F_MAX_TEXT) {
            return aggregate->inputcollid == C_COLLATION_OID;
        }
        // A domain is opaque to core.
        return known.kind == AggregateKind::kCountStar || known.kind == AggregateKind::kCount ||
               argument_type(aggregate) != Type::kOpaque;
    }
    return false;
}

// Bytes are equal where values are.
bool is_native_count_distinct(const Aggref* aggregate) {
    if (aggregate->aggfnoid != F_COUNT_ANY || aggregate->aggdistinct == NIL) return false;
    if (!is_equal_by_cells(argument_type(aggregate))) return false;
    const Oid collation = exprCollation(reinterpret_cast<Node*>(argument_at(aggregate, 0)));
    return !OidIsValid(collation) || get_collation_isdeterministic(collation);
}

// A state that the checkpoint log may hold: of a type whose values have bytes without oids, or
// internal with functions that make such bytes. What array_agg and string_agg serialize (since 16)
// has oids in it, or depends on the order in which it is combined; what others serialize is not
// known.
bool can_fold(const Aggref* aggregate) {
    if (aggregate->aggkind != AGGKIND_NORMAL || aggregate->aggorder != NIL ||
        aggregate->aggdistinct != NIL) {
        return false;
    }
    const TransitionType type = transition_type(aggregate);
    if (type.type != INTERNALOID) return make_value_codec(type.type) != NULL;
    if (!OidIsValid(type.serialize) || !OidIsValid(type.deserialize)) return false;
    switch (type.transition) {
        case F_ARRAY_AGG_TRANSFN:
        case F_ARRAY_AGG_ARRAY_TRANSFN:
        case F_STRING_AGG_TRANSFN:
        case F_BYTEA_STRING_AGG_TRANSFN:
            return false;
        default:
            return type.transition < FirstNormalObjectId;
    }
}

void check_kept_type(const Expr* argument) {
    const Oid type = exprType(reinterpret_cast<const Node*>(argument));
    if (make_value_codec(type) != NULL) return;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("a continuous table cannot keep values of type %s for an aggregate",
                           format_type_be(type)),
                    errhint("Cast the argument to a type with a name, or make jsonb of it.")));
}

Expr* make_packed(List* columns) {
    RowExpr* row = makeNode(RowExpr);
    row->args = columns;
    row->row_typeid = RECORDOID;
    row->row_format = COERCE_EXPLICIT_CALL;
    row->location = -1;
    return reinterpret_cast<Expr*>(row);
}

// anomaly.first and anomaly.last, of which the one row is kept that they show.
bool is_first_or_last(const Aggref* aggregate, AggregateKind* kind) {
    const Oid schema = get_func_namespace(aggregate->aggfnoid);
    if (schema != get_namespace_oid("anomaly", true) || aggregate->aggorder != NIL ||
        aggregate->aggdistinct != NIL) {
        return false;
    }
    const char* name = get_func_name(aggregate->aggfnoid);
    *kind = strcmp(name, "first") == 0 ? AggregateKind::kFirst : AggregateKind::kLast;
    return *kind == AggregateKind::kFirst || strcmp(name, "last") == 0;
}

// The row that core/group/kept_row.h expects: the time, then the value, constants too.
void keep_time_and_value(AggregatePlan* plan) {
    constexpr int kArguments = 2;
    constexpr int kTime = 1;
    constexpr int kValue = 0;
    check_kept_type(argument_at(plan->aggregate, kValue));
    plan->kept = static_cast<int*>(palloc(sizeof(int) * kArguments));
    plan->kept[plan->kept_count++] = kTime;
    plan->kept[plan->kept_count++] = kValue;
    plan->argument = make_packed(
        list_make2(argument_at(plan->aggregate, kTime), argument_at(plan->aggregate, kValue)));
}

[[noreturn]] void refuse_without_window(const Aggref* aggregate) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("aggregate %s cannot be maintained without a window",
                           format_procedure(aggregate->aggfnoid)),
                    errdetail("It is computed from its input values, which a running total would "
                              "have to keep for ever."),
                    errhint("Group by the window of tumble(event_time, size) or of hop.")));
}

// Collects what is kept of each message.
void choose_kept(AggregatePlan* plan) {
    const Aggref* aggregate = plan->aggregate;
    const int count = list_length(aggregate->args);
    List* columns = NIL;
    plan->kept = static_cast<int*>(palloc0(sizeof(int) * static_cast<Size>(count + 1)));
    for (int i = 0; i < count; i++) {
        Expr* argument = argument_at(aggregate, i);
        if (IsA(argument, Const)) continue;
        check_kept_type(argument);
        columns = lappend(columns, argument);
        plan->kept[plan->kept_count++] = i;
    }
    if (plan->kept_count == 1) {
        plan->argument = static_cast<Expr*>(linitial(columns));
        const Node* node = reinterpret_cast<Node*>(plan->argument);
        if (is_equal_by_cells(core_type(exprType(node)))) return;
    }
    plan->argument = make_packed(columns);
}

}  // namespace

AggregatePlan plan_aggregate(const Aggref* aggregate, TableKind table) {
    AggregatePlan plan = {};
    plan.aggregate = castNode(
        Aggref,
        eval_const_expressions(NULL, reinterpret_cast<Node*>(const_cast<Aggref*>(aggregate))));
    if (find_native(plan.aggregate, &plan.kind)) {
        if (plan.aggregate->args != NIL) plan.argument = argument_at(plan.aggregate, 0);
        return plan;
    }
    if (is_first_or_last(plan.aggregate, &plan.kind)) {
        keep_time_and_value(&plan);
        return plan;
    }
    if (can_fold(plan.aggregate)) {
        plan.kind = AggregateKind::kFolded;
        choose_kept(&plan);
        return plan;
    }
    if (table != TableKind::kWindowed) refuse_without_window(plan.aggregate);
    if (is_native_count_distinct(plan.aggregate)) {
        plan.kind = AggregateKind::kCountDistinct;
        plan.argument = argument_at(plan.aggregate, 0);
        return plan;
    }
    plan.kind =
        plan.aggregate->aggdistinct != NIL ? AggregateKind::kKeptDistinct : AggregateKind::kKept;
    choose_kept(&plan);
    return plan;
}

bool is_packed(const Expr* argument) {
    return IsA(argument, RowExpr) &&
           reinterpret_cast<const RowExpr*>(argument)->row_typeid == RECORDOID;
}

}  // namespace anomaly::pg
