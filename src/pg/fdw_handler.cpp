// anomaly_kafka's planner side and the table of its callbacks. A scan reads the whole topic: the
// planner is told a fixed and modest size, since asking the broker would make every EXPLAIN wait.
#include "pg/fdw_scan.h"

namespace anomaly::pg {

namespace {

constexpr double kAssumedRows = 10000;
constexpr Cost kStartupCost = 1000;  // finding the brokers and the ends of the topic
constexpr Cost kCostPerRow = 0.05;   // on top of the executor's own

void get_size(PlannerInfo* root, RelOptInfo* relation, Oid) {
    relation->rows = kAssumedRows *
                     clauselist_selectivity(root, relation->baserestrictinfo, 0, JOIN_INNER, NULL);
    relation->rows = clamp_row_est(relation->rows);
}

void get_paths(PlannerInfo* root, RelOptInfo* relation, Oid) {
    const Cost total = kStartupCost + kAssumedRows * (kCostPerRow + cpu_tuple_cost);
    ForeignPath* path = create_stream_path(root, relation, kStartupCost, total);
    add_path(relation, reinterpret_cast<Path*>(path));
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

ForeignScan* get_plan(PlannerInfo*, RelOptInfo* relation, Oid, ForeignPath*, List* target_list,
                      List* clauses, Plan* outer_plan) {
    List* conditions = extract_actual_clauses(clauses, false);
    return make_foreignscan(target_list, conditions, relation->relid, NIL,
                            used_attributes(relation, conditions), NIL, NIL, outer_plan);
}

List* plan_modify(PlannerInfo* root, ModifyTable*, Index result_relation, int) {
    const Oid relation = planner_rt_fetch(result_relation, root)->relid;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot write to stream \"%s\"", get_rel_name(relation)),
                    errdetail("Streams can only be read yet.")));
}

}  // namespace

ANOMALY_FUNCTION(anomaly_kafka_fdw_handler) {
    FdwRoutine* routine = makeNode(FdwRoutine);
    routine->GetForeignRelSize = get_size;
    routine->GetForeignPaths = get_paths;
    routine->GetForeignPlan = get_plan;
    routine->PlanForeignModify = plan_modify;
    set_scan_callbacks(routine);
    PG_RETURN_POINTER(routine);
}

}  // namespace anomaly::pg
