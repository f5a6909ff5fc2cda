// From the engine's columns to rows of a continuous table.
#include "pg/table/table_writer.h"

#include "pg/evaluate/kept_aggregate.h"
#include "pg/query/key_identity.h"
#include "pg/server/call.h"
#include "pg/server/pinned_settings.h"
#include "pg/server/plan.h"
#include "pg/server/subtransaction.h"
#include "pg/table/key_size.h"
#include "pg/table/write_statements.h"
#include "pg/value/cell_codec.h"
#include "pg/value/value_codec.h"

namespace anomaly::pg {

struct TableWriter {
    Oid table;
    Oid owner;
    const TableDefinition* definition;
    const char* settings;
    const TableSpec* spec;
    MemoryContext context;      // of all that is prepared
    MemoryContext row_context;  // of the values of one row
    const char* names;          // of the table and its columns, NULL: what follows is not there
    int version;                // of the names
    TupleDesc changes_row;      // the table's columns and the five of ours
    WriteStatements statements;
    Tuplestorestate* present;  // the changes at hand
    Tuplestorestate* gone;
    bool evaluates;           // some output or HAVING is an expression over the group row
    ExprState** expressions;  // one per output, NULL: copied
    ExprState* having;
    EState* executor;
    TupleTableSlot* group_slot;
    ValueCodec** keys;     // one per key, NULL: its cells are of its type
    bool has_kept;         // some aggregate is computed here
    KeptAggregate** kept;  // one per aggregate, NULL: not prepared, or in ruins since an error
    MemoryContext kept_context;
    int64 error_count;
    char error[256];
};

namespace {

constexpr int kOwnColumns = 5;

void set_column(TupleDesc row, int number, const char* name, Oid type) {
    TupleDescInitEntry(row, static_cast<AttrNumber>(number), name, type, -1, 0);
}

TupleDesc make_changes_row(Relation table) {
    const TupleDesc columns = RelationGetDescr(table);
    TupleDesc row = CreateTemplateTupleDesc(columns->natts + kOwnColumns);
    for (int i = 1; i <= columns->natts; i++) {
        TupleDescCopyEntry(row, static_cast<AttrNumber>(i), columns, static_cast<AttrNumber>(i));
    }
    set_column(row, columns->natts + 1, kOrdinalColumn, INT4OID);
    set_column(row, columns->natts + 2, kChangedColumn, BOOLOID);
    set_column(row, columns->natts + 3, kClosedColumn, BOOLOID);
    set_column(row, columns->natts + 4, kPartitionColumn, INT4OID);
    set_column(row, columns->natts + 5, kOffsetColumn, INT8OID);
    return row;
}

void prepare_executor(TableWriter* writer) {
    const TableDefinition* definition = writer->definition;
    if (definition->kind == TableKind::kFilter) return;
    writer->executor = CreateExecutorState();
    writer->keys = static_cast<ValueCodec**>(
        palloc0(sizeof(ValueCodec*) * static_cast<Size>(definition->key_count + 1)));
    for (int k = 0; k < definition->key_count; k++) {
        const Node* key = reinterpret_cast<const Node*>(definition->keys[k]);
        if (needs_identity(key)) writer->keys[k] = make_value_codec(getBaseType(exprType(key)));
    }
    writer->group_slot = MakeSingleTupleTableSlot(definition->group_row, &TTSOpsVirtual);
    writer->expressions = static_cast<ExprState**>(
        palloc0(sizeof(ExprState*) * static_cast<Size>(definition->output_count)));
    for (int i = 0; i < definition->output_count; i++) {
        const OutputColumn* output = &definition->outputs[i];
        if (output->group_attribute != 0) continue;
        writer->expressions[i] = ExecPrepareExpr(output->expr, writer->executor);
        writer->evaluates = true;
    }
    for (int a = 0; a < definition->aggregate_count; a++) {
        if (is_kept(definition->aggregate_plans[a].kind)) writer->has_kept = true;
    }
    if (writer->has_kept) {
        writer->kept_context = AllocSetContextCreate(CurrentMemoryContext, "anomaly aggregates",
                                                     ALLOCSET_DEFAULT_SIZES);
        writer->evaluates = true;
    }
    if (definition->having != NULL) {
        writer->having = ExecPrepareQual(make_ands_implicit(definition->having), writer->executor);
        writer->evaluates = true;
    }
}

const char* names_of(Relation table) {
    StringInfoData names;
    initStringInfo(&names);
    appendStringInfoString(&names, qualified_name(table));
    for (int i = 0; i < RelationGetDescr(table)->natts; i++) {
        appendStringInfo(
            &names, ", %s",
            quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(table), i)->attname)));
    }
    return names.data;
}

using PlanPlace = SPIPlanPtr WriteStatements::*;
constexpr PlanPlace kPlans[] = {&WriteStatements::upsert_plan, &WriteStatements::insert_plan,
                                &WriteStatements::update_plan, &WriteStatements::remove_plan,
                                &WriteStatements::expire_plan};

void free_plans(WriteStatements* statements) {
    for (const PlanPlace place : kPlans) {
        if (statements->*place != NULL) SPI_freeplan(statements->*place);
        statements->*place = NULL;
    }
}

void prepare_for(TableWriter* writer, Relation table, const char* names) {
    writer->names = NULL;
    free_plans(&writer->statements);
    MemoryContextReset(writer->context);
    const MemoryContext caller = MemoryContextSwitchTo(writer->context);
    writer->row_context =
        AllocSetContextCreate(CurrentMemoryContext, "anomaly row", ALLOCSET_DEFAULT_SIZES);
    writer->changes_row = make_changes_row(table);
    make_write_statements(table, writer->definition, &writer->statements);
    prepare_executor(writer);
    writer->names = pstrdup(names);
    writer->version++;
    MemoryContextSwitchTo(caller);
}

// Statements have the names of the table and its columns as they were: since the last commit, or
// while this one waited for the lock, somebody may have changed them. Under the lock they stay. An
// error on the way leaves the writer unprepared.
void prepare_writer(TableWriter* writer) {
    Relation table = table_open(writer->table, NoLock);
    const char* names = names_of(table);
    if (writer->names == NULL || strcmp(writer->names, names) != 0) {
        prepare_for(writer, table, names);
    }
    table_close(table, NoLock);
}

// ---- one row ----

struct RowTarget {
    Tuplestorestate* store;
    Datum* values;
    bool* nulls;
};

Datum datum_at(const ColumnView* column, int row, Form_pg_attribute attribute, bool* is_null) {
    *is_null = column->nulls != nullptr && column->nulls[row] != 0;
    if (*is_null) return Datum{0};
    const size_t first_cell = static_cast<size_t>(row) * static_cast<size_t>(stride(column->type));
    const CellType type = {column->type, attribute->atttypid, attribute->attlen,
                           attribute->attbyval};
    return datum_from_cells(type, column->cells + first_cell);
}

void put_row(const TableWriter* writer, const RowTarget* target, int row, bool changed, bool closed,
             const int32* partition, const int64* offset) {
    const int first = writer->definition->output_count;
    target->values[first] = Int32GetDatum(row);
    target->values[first + 1] = BoolGetDatum(changed);
    target->values[first + 2] = BoolGetDatum(closed);
    target->values[first + 3] = partition != NULL ? Int32GetDatum(*partition) : Datum{0};
    target->values[first + 4] = offset != NULL ? Int64GetDatum(*offset) : Datum{0};
    memset(target->nulls + first, 0, 3);
    target->nulls[first + 3] = partition == NULL;
    target->nulls[first + 4] = offset == NULL;
    tuplestore_putvalues(target->store, writer->changes_row, target->values, target->nulls);
}

// The group row in the executor's slot; row: of those shown.
void fill_group_slot(TableWriter* writer, const TableChanges* changes, int row) {
    const TableDefinition* definition = writer->definition;
    TupleTableSlot* slot = ExecClearTuple(writer->group_slot);
    auto fill = [slot, definition](int attribute, const ColumnView* column, int at) {
        slot->tts_values[attribute - 1] =
            datum_at(column, at, TupleDescAttr(definition->group_row, attribute - 1),
                     &slot->tts_isnull[attribute - 1]);
    };
    for (int k = 0; k < definition->key_count; k++) {
        const ColumnView* keys = &changes->keys[k];
        if (writer->keys[k] == NULL || (keys->nulls != NULL && keys->nulls[row] != 0)) {
            fill(key_attribute(k), keys, row);
            continue;
        }
        const uint64_t* cells = keys->cells + static_cast<size_t>(row) * 2;
        StringInfoData bytes = view_bytes(reinterpret_cast<const char*>(cells[0]), cells[1]);
        slot->tts_values[k] = decode_value(writer->keys[k], &bytes);
        slot->tts_isnull[k] = false;
    }
    if (definition->kind == TableKind::kWindowed) {
        const int at = window_start_attribute(definition);
        slot->tts_values[at - 1] = TimestampTzGetDatum(changes->window_starts[row]);
        slot->tts_values[at] = TimestampTzGetDatum(changes->window_ends[row]);
        slot->tts_isnull[at - 1] = slot->tts_isnull[at] = false;
    }
    for (int a = 0; a < definition->aggregate_count; a++) {
        const int attribute = aggregate_attribute(definition, a);
        slot->tts_isnull[attribute - 1] = true;  // of what is computed later
        if (is_kept(definition->aggregate_plans[a].kind)) continue;
        fill(attribute, &changes->aggregates[a], row);
    }
    ExecStoreVirtualTuple(slot);
}

// ---- aggregates that PostgreSQL computes ----

void prepare_kept(TableWriter* writer) {
    const TableDefinition* definition = writer->definition;
    const MemoryContext caller = MemoryContextSwitchTo(writer->kept_context);
    KeptAggregate** kept = static_cast<KeptAggregate**>(
        palloc0(sizeof(KeptAggregate*) * static_cast<Size>(definition->aggregate_count)));
    for (int a = 0; a < definition->aggregate_count; a++) {
        const AggregatePlan* plan = &definition->aggregate_plans[a];
        if (is_kept(plan->kind)) kept[a] = make_kept_aggregate(plan);
    }
    writer->kept = kept;
    MemoryContextSwitchTo(caller);
}

void forget_kept(TableWriter* writer) {
    writer->kept = NULL;
    if (writer->kept_context != NULL) MemoryContextReset(writer->kept_context);
}

// Into the group row.
void compute_kept(TableWriter* writer, const TableChanges* changes, int row) {
    if (writer->kept == NULL) prepare_kept(writer);
    TupleTableSlot* slot = writer->group_slot;
    const MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(writer->executor));
    ExprContext* context = GetPerTupleExprContext(writer->executor);
    context->ecxt_scantuple = slot;
    for (int a = 0; a < writer->definition->aggregate_count; a++) {
        if (writer->kept[a] == NULL) continue;
        const ColumnView* column = &changes->aggregates[a];
        const bool present = column->nulls == nullptr || column->nulls[row] == 0;
        const uint64_t* cells = column->cells + static_cast<size_t>(row) * 2;
        const int attribute = aggregate_attribute(writer->definition, a);
        slot->tts_values[attribute - 1] =
            kept_result(writer->kept[a], present ? reinterpret_cast<const char*>(cells[0]) : NULL,
                        present ? cells[1] : 0, context, &slot->tts_isnull[attribute - 1]);
    }
    MemoryContextSwitchTo(caller);
}

// False: HAVING does not hold.
bool project_group(TableWriter* writer, const RowTarget* target) {
    const TableDefinition* definition = writer->definition;
    ExprContext* context = GetPerTupleExprContext(writer->executor);
    context->ecxt_scantuple = writer->group_slot;
    if (writer->having != NULL && !ExecQual(writer->having, context)) return false;
    for (int i = 0; i < definition->output_count; i++) {
        const int attribute = definition->outputs[i].group_attribute;
        if (attribute != 0) {
            target->values[i] = writer->group_slot->tts_values[attribute - 1];
            target->nulls[i] = writer->group_slot->tts_isnull[attribute - 1];
        } else {
            target->values[i] = ExecEvalExpr(writer->expressions[i], context, &target->nulls[i]);
        }
    }
    return true;
}

// The key alone, for rows that are to be removed.
void project_key(TableWriter* writer, const RowTarget* target) {
    for (int i = 0; i < writer->definition->output_count; i++) {
        const OutputColumn* output = &writer->definition->outputs[i];
        target->nulls[i] = true;
        if (!output->is_group_column || output->group_attribute == 0) continue;
        target->values[i] = writer->group_slot->tts_values[output->group_attribute - 1];
        target->nulls[i] = writer->group_slot->tts_isnull[output->group_attribute - 1];
    }
}

struct GroupRow {
    TableWriter* writer;
    const TableChanges* changes;
    int shown;  // number of the row among those shown
    const RowTarget* target;
    bool present;
};

bool may_be_long(const TableWriter* writer, const RowTarget* target) {
    return may_be_long(writer->definition, writer->changes_row, target->values, target->nulls);
}

void project_group_step(void* opaque) {
    GroupRow* group = static_cast<GroupRow*>(opaque);
    if (group->writer->has_kept) compute_kept(group->writer, group->changes, group->shown);
    group->present = project_group(group->writer, group->target);
    if (!group->present || !may_be_long(group->writer, group->target)) return;
    check_key_size(group->writer->table, group->target->values, group->target->nulls);
}

// Evaluates one group row; an error means that the row is not there now.
bool group_is_present(TableWriter* writer, const TableChanges* changes, int shown,
                      const RowTarget* target) {
    GroupRow group = {writer, changes, shown, target, false};
    if (!writer->evaluates && project_group(writer, target) && !may_be_long(writer, target)) {
        return true;
    }
    ErrorData* error = run_in_subtransaction(project_group_step, &group);
    if (error == NULL) return group.present;
    writer->error_count++;
    strlcpy(writer->error, error->message, sizeof(writer->error));
    FreeErrorData(error);
    forget_kept(writer);
    return false;
}

void collect_group(TableWriter* writer, const TableChanges* changes, int row,
                   const RowTarget* present, const RowTarget* gone) {
    const uint8_t flags = changes->flags[row];
    const int shown = row - changes->first_shown;
    fill_group_slot(writer, changes, shown);
    if (!(flags & kRowFailed) && group_is_present(writer, changes, shown, present)) {
        writer->statements.all_new = writer->statements.all_new && (flags & kRowNew);
        put_row(writer, present, row, !(flags & kRowUnchanged), (flags & kRowClosed) != 0, NULL,
                NULL);
    } else {
        if (flags & kRowFailed) {
            writer->error_count++;
            strlcpy(writer->error, "aggregate out of range", sizeof(writer->error));
        }
        if (!(flags & kRowNew)) {
            project_key(writer, gone);
            put_row(writer, gone, row, true, false, NULL, NULL);
            writer->statements.gone_count++;
        }
    }
    if (writer->evaluates) ResetPerTupleExprContext(writer->executor);
}

void collect_groups(TableWriter* writer, const ChangesSource& source, const TableChanges* changes,
                    const RowTarget* present, const RowTarget* gone) {
    for (int first = 0; first < changes->row_count; first += kRowsShown) {
        check(bridge::ingest_show_rows(source.ingest, source.index, first));
        const int end = Min(first + kRowsShown, changes->row_count);
        for (int row = first; row < end; row++) {
            collect_group(writer, changes, row, present, gone);
            MemoryContextReset(writer->row_context);
        }
    }
}

void collect_appended(TableWriter* writer, const TableChanges* changes, const RowTarget* target) {
    for (int row = 0; row < changes->row_count; row++) {
        for (int i = 0; i < writer->definition->output_count; i++) {
            target->values[i] = datum_at(&changes->outputs[i], row,
                                         TupleDescAttr(writer->changes_row, i), &target->nulls[i]);
        }
        put_row(writer, target, row, true, true, &changes->partitions[row], &changes->offsets[row]);
        MemoryContextReset(writer->row_context);
    }
}

void register_rows(TableWriter* writer, const char* name, Tuplestorestate* store, double count) {
    EphemeralNamedRelation relation =
        static_cast<EphemeralNamedRelation>(palloc0(sizeof(EphemeralNamedRelationData)));
    relation->md.name = pstrdup(name);
    relation->md.reliddesc = InvalidOid;
    relation->md.tupdesc = writer->changes_row;
    relation->md.enrtype = ENR_NAMED_TUPLESTORE;
    relation->md.enrtuples = count;
    relation->reldata = store;
    const int result = SPI_register_relation(relation);
    if (result != SPI_OK_REL_REGISTER) {
        elog(ERROR, "cannot register %s: %s", name, SPI_result_code_string(result));
    }
}

RowTarget make_target(const TableWriter* writer) {
    const Size columns = static_cast<Size>(writer->changes_row->natts);
    return {tuplestore_begin_heap(false, false, work_mem),
            static_cast<Datum*>(palloc0(sizeof(Datum) * columns)),
            static_cast<bool*>(palloc0(sizeof(bool) * columns))};
}

}  // namespace

TableWriter* create_writer(Oid table, Oid owner, const TableDefinition* definition,
                           const char* pinned_settings) {
    TableWriter* writer = static_cast<TableWriter*>(palloc0(sizeof(TableWriter)));
    writer->table = table;
    writer->owner = owner;
    writer->definition = definition;
    writer->settings = pinned_settings;
    writer->context =
        AllocSetContextCreate(CurrentMemoryContext, "anomaly table writer", ALLOCSET_DEFAULT_SIZES);
    for (const PlanPlace place : kPlans) {
        free_plan_with(CurrentMemoryContext, &(writer->statements.*place));
    }
    return writer;
}

void set_writer_spec(TableWriter* writer, const TableSpec* spec) {
    writer->spec = spec;
}

int64 collect_changes(TableWriter* writer, const ChangesSource& source) {
    const TableChanges none = {};
    const TableChanges* changes =
        source.ingest == NULL ? &none : bridge::ingest_changes(source.ingest, source.index);
    prepare_writer(writer);
    writer->error_count = 0;
    forget_kept(writer);  // of the last commit
    if (writer->has_kept && changes->row_count > 0) prepare_kept(writer);
    const RowTarget present = make_target(writer);
    const RowTarget gone = make_target(writer);
    writer->present = present.store;
    writer->gone = gone.store;
    writer->statements.gone_count = 0;
    writer->statements.all_new = true;
    const MemoryContext caller = MemoryContextSwitchTo(writer->row_context);
    if (writer->definition->kind == TableKind::kFilter) {
        collect_appended(writer, changes, &present);
    } else {
        collect_groups(writer, source, changes, &present, &gone);
    }
    MemoryContextSwitchTo(caller);
    const int64 count = tuplestore_tuple_count(present.store);
    register_rows(writer, kChangesName, present.store, static_cast<double>(count));
    register_rows(writer, kGoneName, gone.store,
                  static_cast<double>(writer->statements.gone_count));
    writer->statements.present_count = count;
    return count;
}

CollectedRows collected_rows(const TableWriter* writer) {
    return {writer->present, writer->changes_row, writer->version};
}

// A large store has a temporary file.
void end_changes(TableWriter* writer) {
    SPI_unregister_relation(kChangesName);
    SPI_unregister_relation(kGoneName);
    tuplestore_end(writer->present);
    tuplestore_end(writer->gone);
}

int64 write_changes(TableWriter* writer) {
    return run_write_statements(&writer->statements);
}

int64 expire_rows(TableWriter* writer, const TableChanges* changes) {
    if (changes->gone_start == kNoTime) return 0;
    prepare_writer(writer);
    return run_expire_statement(&writer->statements, changes);
}

int64 writer_error_count(const TableWriter* writer, const char** message) {
    *message = writer->error;
    return writer->error_count;
}

int apply_writer_settings(const TableWriter* writer) {
    return apply_settings(writer->settings);
}

}  // namespace anomaly::pg
