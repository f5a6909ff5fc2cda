// Loads what a continuous table computes. To make its spec, constants are folded, by functions that
// are its owner's affair: they run as the owner, and an error of theirs stops this table alone.
#include "pg/ingest/stream_run.h"

#include "pg/evaluate/kept_aggregate.h"
#include "pg/ingest/progress.h"
#include "pg/query/aggregate_plan.h"
#include "pg/query/key_identity.h"
#include "pg/query/read_rights.h"
#include "pg/server/catalog.h"
#include "pg/server/pinned_settings.h"
#include "pg/server/subtransaction.h"
#include "pg/shared/extension_lock.h"
#include "pg/shared/shmem.h"

namespace anomaly::pg {

namespace {

struct Load {
    RunTable* table;
    const char* text;
    MemoryContext context;
};

// A definition as it stood once, and the transaction that wrote it so.
struct Text {
    const char* text;  // NULL: it is gone
    int64 writer;
};

// Until it has let its locks go. A row that was frozen keeps the number of its transaction, which
// after two thousand million others seems to be yet to come: nobody would ever end that.
void wait_for_end(TransactionId xid) {
    if (TransactionIdIsCurrentTransactionId(xid)) return;
    if (!TransactionIdPrecedes(xid, ReadNextTransactionId())) return;
    XactLockTableWait(xid, NULL, NULL, XLTW_None);
}

// As it stands. Whoever renames what it names has written it anew in the same transaction, which is
// seen a moment before others hear that their caches are out of date: not before it has let its
// locks go.
Text text_of(Oid relid) {
    CatalogArgument arguments[] = {argument_oid(REGCLASSOID, relid), argument_int8(0)};
    Text result = {};
    while (result.text == NULL) {
        result.writer = catalog_select_int(
            "SELECT xmin::text::bigint FROM anomaly.continuous_table WHERE relid = $1", arguments,
            1, 0);
        if (result.writer == 0) break;
        wait_for_end(static_cast<TransactionId>(result.writer));
        arguments[1] = argument_int8(result.writer);
        result.text = catalog_select_text(
            "SELECT definition FROM anomaly.continuous_table "
            "WHERE relid = $1 AND xmin::text::bigint = $2",
            arguments, 2);
    }
    return result;
}

void prepare_expression(Expr* expr) {
    ListCell* cell;
    if (!is_packed(expr)) {
        ExecInitExpr(expression_planner(expr), NULL);
        return;
    }
    foreach (cell, castNode(RowExpr, expr)->args) {
        ExecInitExpr(expression_planner(static_cast<Expr*>(lfirst(cell))), NULL);
    }
}

// What would end the worker in the middle of a batch, such as a function that the owner may not
// call any more, comes to light here.
void rehearse(const TableDefinition* definition) {
    MemoryContext temporary =
        AllocSetContextCreate(CurrentMemoryContext, "anomaly rehearsal", ALLOCSET_DEFAULT_SIZES);
    const MemoryContext caller = MemoryContextSwitchTo(temporary);
    for (int e = 0; e < expression_count(definition); e++) {
        Expr* expr = expression_at(definition, e);
        if (expr != NULL) prepare_expression(expr);
    }
    for (int a = 0; a < definition->aggregate_count; a++) {
        const AggregatePlan* plan = &definition->aggregate_plans[a];
        if (plan->kind == AggregateKind::kFolded) make_kept_aggregate(plan);
    }
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(temporary);
}

void load_step(void* opaque) {
    const Load* load = static_cast<const Load*>(opaque);
    RunTable* table = load->table;
    MemoryContextSwitchTo(load->context);
    PushActiveSnapshot(GetTransactionSnapshot());
    const int nest_level = apply_settings(table->settings);
    AcceptInvalidationMessages();  // the text may have names that are newer than this transaction
    Query* query = parse_query(load->text);
    Oid user;
    int context;
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(table->owner,
                           context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
    table->definition = analyze_definition(query);
    table->spec = make_table_spec(table->definition, table->relid, table->terms);
    table->identities = make_key_identities(table->definition);
    rehearse(table->definition);
    SetUserIdAndSecContext(user, context);
    AtEOXact_GUC(false, nest_level);
    PopActiveSnapshot();
}

}  // namespace

const char* missing_right(RunTable* table) {
    const uint64 generation = rights_generation();
    if (table->rights == generation) return NULL;
    const char* missing = missing_read_right(table->definition->query, table->owner, table->views);
    if (missing == NULL) table->rights = generation;
    return missing;
}

bool load_definition(const StreamRun* run, RunTable* table) {
    const MemoryContext caller = CurrentMemoryContext;
    Text text = text_of(table->relid);
    while (text.text != NULL) {
        Load load = {table, text.text,
                     AllocSetContextCreate(run->context, "anomaly continuous table",
                                           ALLOCSET_DEFAULT_SIZES)};
        ErrorData* error = run_in_subtransaction(load_step, &load, Containment::kTable);
        MemoryContextSwitchTo(caller);
        const char* reason = error != NULL ? error->message : missing_right(table);
        if (reason == NULL) return true;
        table->definition = NULL;
        table->spec = NULL;
        table->identities = NULL;
        MemoryContextDelete(load.context);
        const Text newer = text_of(table->relid);
        const bool is_final = newer.text != NULL && newer.writer == text.writer;
        if (is_final) fail_table(table, reason);
        if (error != NULL) FreeErrorData(error);
        if (is_final) return false;
        text = newer;  // what it names has been renamed meanwhile
    }
    table->retry_at_us = PG_INT64_MAX;  // dropped: a reload is to come
    return false;
}

bool retry_load(StreamRun* run, RunTable* table) {
    const MemoryContext caller = CurrentMemoryContext;
    if (!begin_extension_transaction()) return false;
    RunTable attempt = *table;
    if (load_definition(run, &attempt)) {
        SPI_connect();
        clear_failure(table->relid);
        SPI_finish();
        wake_stream(MyDatabaseId, run->stream);
        attempt.retry_at_us = PG_INT64_MAX;
    }
    table->failures = attempt.failures;
    table->retry_at_us = attempt.retry_at_us;
    end_extension_transaction();
    MemoryContextSwitchTo(caller);
    return true;
}

}  // namespace anomaly::pg
