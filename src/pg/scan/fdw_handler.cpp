// anomaly_kafka's planner side and the table of its callbacks. Asking the broker would make every
// EXPLAIN wait: a topic is taken to have a fixed and modest size, of which conditions on the place
// leave a part.
#include "bridge/topic.h"

#include "pg/scan/fdw_scan.h"

#include "pg/scan/import.h"
#include "pg/scan/scan_condition.h"
#include "pg/sink/fdw_modify.h"

namespace anomaly::pg {

namespace {

constexpr double kAssumedRows = 10000;
constexpr double kAssumedPartitions = 4;
constexpr double kAssumedRecentShare = 1.0 / 3;  // of what a lower bound on the timestamp leaves
constexpr Cost kStartupCost = 1000;              // finding the brokers and the ends of the topic
constexpr Cost kCostPerRow = 0.05;               // on top of the executor's own

// How many messages a scan with these conditions reads; the others are left in `rest`.
double count_messages(PlannerInfo* root, const RelOptInfo* relation, Oid stream,
                      const List* conditions, List** rest) {
    ScanBounds bounds = unbounded_scan();
    double messages = kAssumedRows;
    ListCell* cell;
    foreach (cell, conditions) {
        RestrictInfo* info = lfirst_node(RestrictInfo, cell);
        ScanCondition condition;
        if (!match_scan_condition(root, stream, relation->relid, info->clause, &condition)) {
            *rest = lappend(*rest, info);
        } else if (IsA(condition.value, Const)) {
            const Const* value = reinterpret_cast<Const*>(condition.value);
            narrow_scan(&bounds, &condition, value->constvalue, value->constisnull);
        } else {
            messages *= condition.strategy == BTEqualStrategyNumber ? 1 / kAssumedPartitions
                                                                    : kAssumedRecentShare;
        }
    }
    double partitions = kAssumedPartitions;
    if (bounds.partitions != NULL) partitions = bms_num_members(bounds.partitions);
    partitions = Min(partitions, static_cast<double>(bounds.partition_to) -
                                     static_cast<double>(bounds.partition_from));
    messages *= Min(partitions / kAssumedPartitions, 1);
    if (bounds.from_ms != bridge::kNoTimeAsked) messages *= kAssumedRecentShare;
    const double offsets =
        static_cast<double>(bounds.offset_to) - static_cast<double>(bounds.offset_from);
    messages = Min(messages, partitions * offsets);
    return bounds.nothing ? 0 : Max(messages, 0);
}

Cost cost_of(double messages) {
    return kStartupCost + messages * (kCostPerRow + cpu_tuple_cost);
}

void get_size(PlannerInfo* root, RelOptInfo* relation, Oid stream) {
    List* rest = NIL;
    const double messages =
        count_messages(root, relation, stream, relation->baserestrictinfo, &rest);
    relation->tuples = kAssumedRows;
    relation->rows =
        clamp_row_est(messages * clauselist_selectivity(root, rest, 0, JOIN_INNER, NULL));
}

// ---- paths that take the place from another table's row ----

bool is_wanted_column(PlannerInfo*, RelOptInfo*, EquivalenceClass*, EquivalenceMember* member,
                      void* wanted) {
    return equal(member->em_expr, wanted);
}

List* join_conditions(PlannerInfo* root, RelOptInfo* relation, Oid stream) {
    List* conditions = NIL;
    ListCell* cell;
    foreach (cell, relation->joininfo) {
        RestrictInfo* info = lfirst_node(RestrictInfo, cell);
        if (join_clause_is_movable_to(info, relation)) conditions = lappend(conditions, info);
    }
    if (!relation->has_eclass_joins) return conditions;
    for (AttrNumber column = 1; column <= relation->max_attr; column++) {
        if (bms_is_empty(relation->attr_needed[column - relation->min_attr])) continue;
        Oid type;
        int32 modifier;
        Oid collation;
        get_atttypetypmodcoll(stream, column, &type, &modifier, &collation);
        Var* var = makeVar(static_cast<int>(relation->relid), column, type, modifier, collation, 0);
        conditions = list_concat(
            conditions, generate_implied_equalities_for_column(root, relation, is_wanted_column,
                                                               var, relation->lateral_referencers));
    }
    return conditions;
}

bool has_set(const List* sets, const Bitmapset* set) {
    ListCell* cell;
    foreach (cell, sets) {
        if (bms_equal(static_cast<const Bitmapset*>(lfirst(cell)), set)) return true;
    }
    return false;
}

void add_join_paths(PlannerInfo* root, RelOptInfo* relation, Oid stream) {
    List* seen = NIL;
    ListCell* cell;
    foreach (cell, join_conditions(root, relation, stream)) {
        RestrictInfo* info = lfirst_node(RestrictInfo, cell);
        ScanCondition condition;
        if (!match_scan_condition(root, stream, relation->relid, info->clause, &condition)) {
            continue;
        }
        Relids outer = bms_union(info->clause_relids, relation->lateral_relids);
        outer = bms_del_member(outer, static_cast<int>(relation->relid));
        if (bms_is_empty(outer) || has_set(seen, outer)) continue;
        seen = lappend(seen, outer);
        const ParamPathInfo* parameters = get_baserel_parampathinfo(root, relation, outer);
        List* rest = NIL;
        List* all = list_concat_copy(relation->baserestrictinfo, parameters->ppi_clauses);
        const double messages = count_messages(root, relation, stream, all, &rest);
        ForeignPath* path = create_stream_path(root, relation, parameters->ppi_rows, kStartupCost,
                                               cost_of(messages), outer);
        add_path(relation, reinterpret_cast<Path*>(path));
    }
}

void get_paths(PlannerInfo* root, RelOptInfo* relation, Oid stream) {
    List* rest = NIL;
    const double messages =
        count_messages(root, relation, stream, relation->baserestrictinfo, &rest);
    ForeignPath* path = create_stream_path(root, relation, relation->rows, kStartupCost,
                                           cost_of(messages), relation->lateral_relids);
    add_path(relation, reinterpret_cast<Path*>(path));
    add_join_paths(root, relation, stream);
}

// Attribute numbers that the scan has to give, NIL where it is the whole row.
List* used_attributes(const RelOptInfo* relation, List* clauses) {
    Bitmapset* attributes = NULL;
    pull_varattnos(reinterpret_cast<Node*>(relation->reltarget->exprs), relation->relid,
                   &attributes);
    pull_varattnos(reinterpret_cast<Node*>(clauses), relation->relid, &attributes);
    List* result = list_make1_int(0);  // never NIL: the list of no columns is not "all"
    int member = -1;
    while ((member = bms_next_member(attributes, member)) >= 0) {
        const int attribute = member + FirstLowInvalidHeapAttributeNumber;
        if (attribute == 0) return NIL;
        if (attribute > 0) result = lappend_int(result, attribute);
    }
    return result;
}

// Conditions that say where to read stay conditions: they are checked again on each row.
ForeignScan* get_plan(PlannerInfo* root, RelOptInfo* relation, Oid stream, ForeignPath*,
                      List* target_list, List* clauses, Plan* outer_plan) {
    List* conditions = extract_actual_clauses(clauses, false);
    List* pushed_down = NIL;
    ListCell* cell;
    foreach (cell, conditions) {
        Expr* clause = static_cast<Expr*>(lfirst(cell));
        ScanCondition condition;
        if (match_scan_condition(root, stream, relation->relid, clause, &condition)) {
            pushed_down = lappend(pushed_down, clause);
        }
    }
    return make_foreignscan(target_list, conditions, relation->relid, pushed_down,
                            used_attributes(relation, conditions), NIL, NIL, outer_plan);
}

}  // namespace

ANOMALY_FUNCTION(anomaly_kafka_fdw_handler) {
    FdwRoutine* routine = makeNode(FdwRoutine);
    routine->GetForeignRelSize = get_size;
    routine->GetForeignPaths = get_paths;
    routine->GetForeignPlan = get_plan;
    routine->ImportForeignSchema = import_topics;
    set_scan_callbacks(routine);
    set_modify_callbacks(routine);
    PG_RETURN_POINTER(routine);
}

}  // namespace anomaly::pg
