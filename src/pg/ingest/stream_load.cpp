// Reads what a stream worker needs from the catalog: the stream, its continuous tables, where each
// of them is in the topic.
#include "pg/ingest/stream_run.h"

#include "pg/ingest/progress.h"
#include "pg/ingest/replay.h"
#include "pg/rule/finding_state.h"
#include "pg/rule/rule_set.h"
#include "pg/server/catalog.h"
#include "pg/server/plan.h"
#include "pg/shared/extension_lock.h"
#include "pg/shared/shmem.h"
#include "pg/table/table_writer.h"

namespace anomaly::pg {

namespace {

const char* text_or_null(const SPITupleTable* rows, uint64 row, int column) {
    return SPI_getvalue(rows->vals[row], rows->tupdesc, column);
}

Datum value_of(const SPITupleTable* rows, uint64 row, int column, bool* is_null) {
    return SPI_getbinval(rows->vals[row], rows->tupdesc, column, is_null);
}

int64 interval_us(Datum interval) {
    const Interval* value = DatumGetIntervalP(interval);
    return value->time + static_cast<int64>(value->day) * USECS_PER_DAY;
}

List* oid_list(Datum array) {
    Datum* elements = NULL;
    bool* nulls = NULL;
    int count = 0;
    deconstruct_array(DatumGetArrayTypeP(array), REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT,
                      &elements, &nulls, &count);
    List* oids = NIL;
    for (int i = 0; i < count; i++) {
        if (!nulls[i]) oids = lappend_oid(oids, DatumGetObjectId(elements[i]));
    }
    return oids;
}

void load_table(StreamRun* run, const SPITupleTable* rows, uint64 row) {
    bool is_null = false;
    RunTable* table = &run->tables[run->table_count];
    table->relid = DatumGetObjectId(value_of(rows, row, 1, &is_null));
    table->owner = relation_owner(table->relid);
    if (!OidIsValid(table->owner)) return;  // dropped a moment ago
    forget_states_without_rule(table->relid);
    const MemoryContext spi_context = MemoryContextSwitchTo(run->context);
    table->emit_on_close = strcmp(text_or_null(rows, row, 2), "close") == 0;
    table->start = text_or_null(rows, row, 4);
    table->settings = text_or_null(rows, row, 5);
    table->terms = {table->emit_on_close, interval_us(value_of(rows, row, 3, &is_null)), kForEver};
    const Datum retention = value_of(rows, row, 8, &is_null);
    if (!is_null) table->terms.retention_us = interval_us(retention);
    table->failures = DatumGetInt32(value_of(rows, row, 6, &is_null));
    table->close_requested = DatumGetBool(value_of(rows, row, 7, &is_null));
    table->has_replays = DatumGetBool(value_of(rows, row, 9, &is_null));
    const Datum views = value_of(rows, row, 10, &is_null);
    if (!is_null) table->views = oid_list(views);
    table->is_loaded = load_definition(run, table);
    if (table->is_loaded) {
        table->writer =
            create_writer(table->relid, table->owner, table->definition, table->settings);
        set_writer_spec(table->writer, table->spec);
        table->rules = load_rules(table->relid, table->definition);
    }
    load_progress(table->relid, &table->progress);
    MemoryContextSwitchTo(spi_context);
    run->table_count++;
}

void load_tables(StreamRun* run) {
    const Oid types[] = {REGCLASSOID};
    const Datum values[] = {ObjectIdGetDatum(run->stream)};
    SPI_connect();
    const int result = SPI_execute_with_args(
        "SELECT c.relid, c.emit, c.allowed_lateness, c.start, c.settings, "
        "p.failures, c.close_requested, c.retention, "
        "EXISTS (SELECT FROM anomaly.dead_letter l "
        "WHERE l.stream = c.stream AND c.relid = ANY (l.replay_for)), c.views "
        "FROM anomaly.continuous_table c JOIN anomaly.table_progress p USING (relid) "
        "WHERE c.stream = $1 ORDER BY c.relid",
        1, const_cast<Oid*>(types), const_cast<Datum*>(values), NULL, false, 0);
    if (result != SPI_OK_SELECT) elog(ERROR, "cannot read anomaly.continuous_table");
    SPITupleTable* rows = SPI_tuptable;
    const uint64 count = SPI_processed;
    run->tables = static_cast<RunTable*>(
        MemoryContextAllocZero(run->context, sizeof(RunTable) * (count + 1)));
    for (uint64 row = 0; row < count; row++) load_table(run, rows, row);
    SPI_finish();
}

// They go on waiting, and are not opened with the others.
void recall_lock_waits(StreamRun* run) {
    LockWaitView* waits = static_cast<LockWaitView*>(palloc(sizeof(LockWaitView) * kMaxLockWaits));
    const int count = take_lock_waits(waits, kMaxLockWaits);
    for (int t = 0; t < run->table_count; t++) {
        RunTable* table = &run->tables[t];
        for (int w = 0; w < count; w++) {
            if (waits[w].table != table->relid) continue;
            table->lock_waits = 1;
            table->waits_since = waits[w].since;
            publish_lock_wait(waits[w]);
        }
    }
    pfree(waits);
}

// A generated column whose function the owner may not call is no message's fault.
void rehearse_generated(const StreamDefinition* stream) {
    Oid user;
    int context;
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(stream->owner,
                           context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
    for (int c = 0; c < stream->spec.column_count; c++) {
        if (stream->generated[c] == NULL) continue;
        Expr* expr = reinterpret_cast<Expr*>(stream->generated[c]);
        ExecInitExpr(expression_planner(expr), NULL);
    }
    SetUserIdAndSecContext(user, context);
}

// Behind whoever is changing the server, a mapping or a right just now: they have us woken before
// others hear that their caches are out of date.
void wait_for_changes(Oid stream) {
    const Oid server = GetForeignServerIdByRelId(stream);
    LockDatabaseObject(ForeignServerRelationId, server, 0, AccessShareLock);
    UnlockDatabaseObject(ForeignServerRelationId, server, 0, AccessShareLock);
}

}  // namespace

bool load_run(StreamRun* run) {
    if (get_rel_relkind(run->stream) != RELKIND_FOREIGN_TABLE) return false;
    wait_for_changes(run->stream);
    take_replay_requests(run->stream);
    load_tables(run);
    recall_lock_waits(run);
    if (run->table_count == 0) return false;
    const MemoryContext caller = MemoryContextSwitchTo(run->context);
    bool* used = static_cast<bool*>(palloc0(sizeof(bool) * MaxHeapAttributeNumber));
    run->readers =
        static_cast<RunReader**>(palloc0(sizeof(RunReader*) * static_cast<Size>(run->table_count)));
    for (int t = 0; t < run->table_count; t++) {
        if (run->tables[t].is_loaded) mark_used_columns(run->tables[t].definition, used);
    }
    run->definition = load_stream(run->stream, used);
    rehearse_generated(run->definition);
    MemoryContextSwitchTo(caller);
    return true;
}

// A table without a reader is asked when it has one, which is tried at once.
bool close_windows_as_asked(StreamRun* run) {
    static Plan asked = {"SELECT close_requested FROM anomaly.continuous_table WHERE relid = $1",
                         NULL};
    if (!begin_extension_transaction()) return false;
    SPI_connect();
    for (int t = 0; t < run->table_count; t++) {
        RunTable* table = &run->tables[t];
        const CatalogArgument relid = argument_oid(REGCLASSOID, table->relid);
        bool is_null = false;
        if (run_plan(&asked, &relid, 1, SPI_OK_SELECT) == 0) continue;  // it is gone
        if (!DatumGetBool(value_of(SPI_tuptable, 0, 1, &is_null))) continue;
        table->close_requested = true;
        if (table->reader != NULL) {
            bridge::ingest_close_windows(table->reader->ingest, table->index);
        } else {
            table->needs_bytes = 0;  // it may be that it takes less, once they are closed
            table->retry_at_us = now_us();
        }
    }
    SPI_finish();
    end_extension_transaction();
    return true;
}

}  // namespace anomaly::pg
