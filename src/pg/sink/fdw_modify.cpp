// The executor gives rows; each becomes a message of the transaction's sink.
#include "pg/sink/fdw_modify.h"

#include "pg/sink/sink.h"
#include "pg/sink/sink_row.h"
#include "pg/stream/options.h"
#include "pg/stream/stream.h"

namespace anomaly::pg {

namespace {

constexpr int kBatchRows = 500;

struct Insertion {
    Sink* sink;
    RowWriter* writer;
};

[[noreturn]] void cannot_change(Oid relation, const char* what, const char* detail) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot %s stream \"%s\"", what, get_rel_name(relation)),
                    errdetail("%s", detail)));
}

List* plan_modify(PlannerInfo* root, ModifyTable* plan, Index result_relation, int) {
    constexpr char kOnlyAppended[] = "Messages of a topic are only added, never changed.";
    const Oid relation = planner_rt_fetch(result_relation, root)->relid;
    if (plan->operation == CMD_UPDATE) cannot_change(relation, "update", kOnlyAppended);
    if (plan->operation == CMD_DELETE) cannot_change(relation, "delete from", kOnlyAppended);
    if (plan->onConflictAction != ONCONFLICT_NONE) {
        cannot_change(relation, "use ON CONFLICT with", "A topic has no unique keys.");
    }
    return NIL;
}

int is_updatable(Relation) {
    return 1 << CMD_INSERT;
}

Insertion* begin_insertion(ResultRelInfo* result, EState* state) {
    Insertion* insertion = static_cast<Insertion*>(palloc0(sizeof(Insertion)));
    const StreamDefinition* stream = load_stream(RelationGetRelid(result->ri_RelationDesc), NULL);
    insertion->writer = row_writer_create(stream);
    insertion->sink = sink_open(stream->server, inserting_user(result, state));
    return insertion;
}

void begin_modify(ModifyTableState* node, ResultRelInfo* result, List*, int, int flags) {
    if ((flags & EXEC_FLAG_EXPLAIN_ONLY) != 0) return;
    result->ri_FdwState = begin_insertion(result, node->ps.state);
}

// COPY FROM, and partitions that rows are routed to.
void begin_insert(ModifyTableState* node, ResultRelInfo* result) {
    const ModifyTable* plan = castNode(ModifyTable, node->ps.plan);
    if (plan != NULL && plan->onConflictAction != ONCONFLICT_NONE) {
        cannot_change(RelationGetRelid(result->ri_RelationDesc), "use ON CONFLICT with",
                      "A topic has no unique keys.");
    }
    result->ri_FdwState = begin_insertion(result, node->ps.state);
}

TupleTableSlot** insert_batch(EState*, ResultRelInfo* result, TupleTableSlot** slots,
                              TupleTableSlot**, int* count) {
    Insertion* insertion = static_cast<Insertion*>(result->ri_FdwState);
    for (int i = 0; i < *count; i++) {
        slot_getallattrs(slots[i]);
        sink_write(insertion->sink, row_writer_message(insertion->writer, slots[i]->tts_values,
                                                       slots[i]->tts_isnull));
    }
    sink_pace(insertion->sink);
    return slots;
}

TupleTableSlot* insert_row(EState* state, ResultRelInfo* result, TupleTableSlot* slot,
                           TupleTableSlot*) {
    int count = 1;
    insert_batch(state, result, &slot, NULL, &count);
    return slot;
}

// One at a time where something is to be done between one row and the next.
int batch_size(ResultRelInfo* result) {
    const TriggerDesc* triggers = result->ri_TrigDesc;
    if (result->ri_projectReturning != NULL || result->ri_WithCheckOptions != NIL) return 1;
    const bool fires =
        triggers != NULL && (triggers->trig_insert_before_row || triggers->trig_insert_after_row);
    return fires ? 1 : kBatchRows;
}

void explain_modify(ModifyTableState*, ResultRelInfo* result, List*, int, ExplainState* explain) {
    const Oid relation = RelationGetRelid(result->ri_RelationDesc);
    const char* topic = find_option(GetForeignTable(relation)->options, "topic");
    if (topic != NULL) ExplainPropertyText("Topic", topic, explain);
}

}  // namespace

void set_modify_callbacks(FdwRoutine* routine) {
    routine->PlanForeignModify = plan_modify;
    routine->IsForeignRelUpdatable = is_updatable;
    routine->BeginForeignModify = begin_modify;
    routine->BeginForeignInsert = begin_insert;
    routine->ExecForeignInsert = insert_row;
    routine->ExecForeignBatchInsert = insert_batch;
    routine->GetForeignModifyBatchSize = batch_size;
    routine->ExplainForeignModify = explain_modify;
}

}  // namespace anomaly::pg
