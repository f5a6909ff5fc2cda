// Makes a continuous table out of CREATE TABLE ... WITH (anomaly.continuous) AS SELECT.
#include "pg/ddl/continuous_create.h"

#include "core/spec.h"
#include "pg/ddl/continuous_dependencies.h"
#include "pg/ddl/continuous_options.h"
#include "pg/query/definition.h"
#include "pg/query/view.h"
#include "pg/server/array_argument.h"
#include "pg/server/catalog.h"
#include "pg/server/pinned_settings.h"
#include "pg/shared/wake.h"

namespace anomaly::pg {

namespace {

void check_into(const IntoClause* into) {
    if (into->rel->relpersistence != RELPERSISTENCE_PERMANENT) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("a continuous table cannot be temporary or unlogged"),
                        errdetail("Its rows are committed together with its positions in the "
                                  "topic, and must survive a crash as they do.")));
    }
}

// Done here only for its errors: what the worker could not maintain is refused now.
void check_maintained(const TableDefinition* definition, bool emit_on_close) {
    bool used[MaxHeapAttributeNumber] = {};
    mark_used_columns(definition, used);
    make_table_spec(definition, InvalidOid, {emit_on_close, 0, kForEver});
    // A constant part that raises would do so in every row, and does when a plain query is planned.
    for (int e = 0; e < expression_count(definition); e++) {
        eval_const_expressions(NULL, reinterpret_cast<Node*>(expression_at(definition, e)));
    }
    for (int o = 0; o < definition->output_count; o++) {
        eval_const_expressions(NULL, reinterpret_cast<Node*>(definition->outputs[o].expr));
    }
    eval_const_expressions(NULL, reinterpret_cast<Node*>(definition->having));
}

void run_utility(Node* statement, const char* query_string) {
    PlannedStmt* wrapper = makeNode(PlannedStmt);
    wrapper->commandType = CMD_UTILITY;
    wrapper->canSetTag = false;
    wrapper->utilityStmt = statement;
    wrapper->stmt_location = -1;
    ProcessUtility(wrapper, query_string, false, PROCESS_UTILITY_SUBCOMMAND, NULL, NULL,
                   None_Receiver, NULL);
    CommandCounterIncrement();
}

// ---- columns and key ----

const char* column_name(const TableDefinition* definition, const IntoClause* into, int i) {
    if (i < list_length(into->colNames)) return strVal(list_nth(into->colNames, i));
    return definition->outputs[i].name;
}

List* make_columns(const TableDefinition* definition, const IntoClause* into) {
    if (list_length(into->colNames) > definition->output_count) {
        ereport(ERROR,
                (errcode(ERRCODE_SYNTAX_ERROR), errmsg("too many column names were specified")));
    }
    List* columns = NIL;
    for (int i = 0; i < definition->output_count; i++) {
        const OutputColumn* output = &definition->outputs[i];
        const char* name = column_name(definition, into, i);
        ColumnDef* column = makeColumnDef(name, output->type, output->typmod, output->collation);
        if (output->is_group_column && !output->nullable) {
            column->constraints = list_make1(make_not_null(name));
        }
        columns = lappend(columns, column);
    }
    return columns;
}

bool key_is_nullable(const TableDefinition* definition) {
    for (int i = 0; i < definition->output_count; i++) {
        if (definition->outputs[i].is_group_column && definition->outputs[i].nullable) return true;
    }
    return false;
}

bool has_key(const TableDefinition* definition) {
    for (int i = 0; i < definition->output_count; i++) {
        if (definition->outputs[i].is_group_column) return true;
    }
    return false;
}

// A key without NULLs is the primary key; otherwise a unique index NULLS NOT DISTINCT stands in,
// and the whole row identifies itself for logical replication.
IndexStmt* make_key_index(const TableDefinition* definition, const IntoClause* into,
                          RangeVar* table) {
    IndexStmt* index = makeNode(IndexStmt);
    index->relation = table;
    index->accessMethod = pstrdup(DEFAULT_INDEX_TYPE);
    index->unique = true;
    index->nulls_not_distinct = key_is_nullable(definition);
    index->primary = !index->nulls_not_distinct;
    index->isconstraint = index->primary;
    index->tableSpace = into->tableSpaceName;
    for (int i = 0; i < definition->output_count; i++) {
        if (!definition->outputs[i].is_group_column) continue;
        IndexElem* element = makeNode(IndexElem);
        element->name = pstrdup(column_name(definition, into, i));
        index->indexParams = lappend(index->indexParams, element);
    }
    return index;
}

void set_full_identity(RangeVar* table, const char* query_string) {
    ReplicaIdentityStmt* identity = makeNode(ReplicaIdentityStmt);
    identity->identity_type = REPLICA_IDENTITY_FULL;
    AlterTableCmd* command = makeNode(AlterTableCmd);
    command->subtype = AT_ReplicaIdentity;
    command->def = reinterpret_cast<Node*>(identity);
    AlterTableStmt* alter = makeNode(AlterTableStmt);
    alter->relation = table;
    alter->cmds = list_make1(command);
    alter->objtype = OBJECT_TABLE;
    run_utility(reinterpret_cast<Node*>(alter), query_string);
}

// Windows that are still open are updated often; free space in the page keeps that cheap (HOT).
List* with_fillfactor(List* storage, const TableDefinition* definition, bool emit_on_close) {
    ListCell* cell;
    foreach (cell, storage) {
        if (strcmp(lfirst_node(DefElem, cell)->defname, "fillfactor") == 0) return storage;
    }
    if (definition->kind == TableKind::kFilter || emit_on_close) return storage;
    Node* value = reinterpret_cast<Node*>(makeInteger(70));
    return lappend(storage, makeDefElem(pstrdup("fillfactor"), value, -1));
}

RangeVar* qualified(Oid relation) {
    return makeRangeVar(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation),
                        -1);
}

Oid make_table(const TableDefinition* definition, const IntoClause* into, List* storage,
               const char* query_string) {
    CreateStmt* create = makeNode(CreateStmt);
    create->relation = into->rel;
    create->tableElts = make_columns(definition, into);
    create->options = storage;
    create->oncommit = ONCOMMIT_NOOP;
    create->tablespacename = into->tableSpaceName;
    create->accessMethod = into->accessMethod;
    run_utility(reinterpret_cast<Node*>(create), query_string);
    const Oid table = RangeVarGetRelid(into->rel, NoLock, false);
    if (definition->kind == TableKind::kFilter) return table;
    bool full_identity = true;  // of the one row that there is without a key
    if (has_key(definition)) {
        IndexStmt* index = make_key_index(definition, into, qualified(table));
        full_identity = index->nulls_not_distinct;
        run_utility(reinterpret_cast<Node*>(index), query_string);
    }
    if (full_identity) set_full_identity(qualified(table), query_string);
    return table;
}

// Rows are removed window by window: found without a look at the others. The column never changes,
// so that updates stay within their page.
void make_window_index(const TableDefinition* definition, const IntoClause* into, Oid table,
                       const char* query_string) {
    const int output = window_output(definition);
    bool leads = true;
    for (int i = 0; i < output; i++) leads = leads && !definition->outputs[i].is_group_column;
    if (leads) return;  // the key serves
    IndexStmt* index = makeNode(IndexStmt);
    index->relation = qualified(table);
    index->accessMethod = pstrdup(DEFAULT_INDEX_TYPE);
    index->tableSpace = into->tableSpaceName;
    IndexElem* element = makeNode(IndexElem);
    element->name = pstrdup(column_name(definition, into, output));
    index->indexParams = list_make1(element);
    run_utility(reinterpret_cast<Node*>(index), query_string);
}

// ---- guard, dependencies, catalog ----

// The guard also carries the dependencies on the stream and on what the query uses: dropping one of
// these with CASCADE drops the guard, and what is left is a plain table with its rows.
Oid make_guard(Oid table, const char* query_string) {
    CreateTrigStmt* trigger = makeNode(CreateTrigStmt);
    trigger->trigname = pstrdup(kGuardTriggerName);
    trigger->relation = qualified(table);
    trigger->funcname = list_make2(makeString(pstrdup("anomaly")), makeString(pstrdup("guard")));
    trigger->row = false;
    trigger->timing = TRIGGER_TYPE_BEFORE;
    trigger->events =
        TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE | TRIGGER_TYPE_TRUNCATE;
    const Oid function = LookupFuncName(trigger->funcname, 0, NULL, false);
    // The creator has no right on the trigger's function, and needs none: it is ours.
    Oid user;
    int context;
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, context | SECURITY_LOCAL_USERID_CHANGE);
    const ObjectAddress address =
        CreateTrigger(trigger, query_string, table, InvalidOid, InvalidOid, InvalidOid, function,
                      InvalidOid, NULL, false, false);
    SetUserIdAndSecContext(user, context);
    CommandCounterIncrement();
    return address.objectId;
}

// Only a whole stream can be paused.
void check_is_paused(Oid stream) {
    const CatalogArgument argument = argument_oid(REGCLASSOID, stream);
    if (catalog_select_int("SELECT 1::bigint FROM anomaly.stream WHERE stream = $1 AND paused",
                           &argument, 1, 0) == 1) {
        return;
    }
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("a continuous table WITH NO DATA needs a paused stream"),
             errdetail("Stream \"%s\" feeds others and is not paused.", get_rel_name(stream)),
             errhint("Call anomaly.pause before, and anomaly.resume when it is to go on.")));
}

// What is stored of a SELECT.
struct StoredQuery {
    char* text;
    List* views;  // that its stream is read through
};

CatalogArgument views_argument(const List* views) {
    if (views == NIL) return {REGCLASSARRAYOID, Datum{0}, true};
    ArrayColumn column = make_array_column(REGCLASSOID, list_length(views));
    ListCell* cell;
    foreach (cell, views) append_value(&column, ObjectIdGetDatum(lfirst_oid(cell)));
    return argument_array(column);
}

void write_catalog(Oid table, const TableDefinition* definition, const ContinuousOptions* options,
                   const StoredQuery& stored, bool paused) {
    const CatalogArgument arguments[] = {
        argument_oid(REGCLASSOID, table),
        argument_oid(REGCLASSOID, definition->stream),
        argument_text(stored.text),
        argument_text(options->emit_on_close ? "close" : "update"),
        {INTERVALOID, IntervalPGetDatum(options->allowed_lateness), false},
        {INTERVALOID, IntervalPGetDatum(options->retention), options->retention == NULL},
        argument_text(options->start),
        {JSONBOID, current_settings(), false},
        views_argument(stored.views),
    };
    catalog_execute(
        "INSERT INTO anomaly.continuous_table "
        "(relid, stream, definition, emit, allowed_lateness, retention, start, settings, views) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        arguments, lengthof(arguments), SPI_OK_INSERT);
    catalog_execute("INSERT INTO anomaly.table_progress (relid) VALUES ($1)", arguments, 1,
                    SPI_OK_INSERT);
    const CatalogArgument stream[] = {argument_oid(REGCLASSOID, definition->stream),
                                      argument_bool(paused)};
    const bool is_first = catalog_execute(
                              "INSERT INTO anomaly.stream (stream, paused) VALUES ($1, $2) "
                              "ON CONFLICT (stream) DO NOTHING",
                              stream, lengthof(stream), SPI_OK_INSERT) > 0;
    if (!is_first && paused) check_is_paused(definition->stream);
}

void check_options(const TableDefinition* definition, const ContinuousOptions* options) {
    const bool windowed = definition->kind == TableKind::kWindowed;
    if (!windowed && (options->emit_on_close || options->retention != NULL)) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("%s needs a window", options->emit_on_close ? "anomaly.emit = close"
                                                                           : "anomaly.retention"),
                        errhint("Use tumble(event_time, size) or hop(event_time, slide, size), or "
                                "leave it out.")));
    }
    if (options->retention == NULL) return;
    const int order =
        DatumGetInt32(DirectFunctionCall2(interval_cmp, IntervalPGetDatum(options->retention),
                                          IntervalPGetDatum(options->allowed_lateness)));
    if (order < 0) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("anomaly.retention must be at least anomaly.allowed_lateness"),
                        errdetail("A row cannot go before its window is closed.")));
    }
}

// The text to be stored. What was in a view is in it, and no longer the view's: the definition
// stays as it is whatever becomes of the view, and needs no right on the schemas of what that
// reads.
Query* take_definition(Query* query, StoredQuery* stored) {
    const bool had_views = expand_views(query, &stored->views);
    stored->text = qualified_text(static_cast<Query*>(copyObjectImpl(query)));
    if (!had_views) return query;
    Oid user;
    int context;
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, context | SECURITY_LOCAL_USERID_CHANGE);
    query = parse_query(stored->text);
    SetUserIdAndSecContext(user, context);
    return query;
}

// Only the stream itself is read.
void check_children(const TableDefinition* definition) {
    if (!definition->with_children || find_inheritance_children(definition->stream, NoLock) == NIL)
        return;
    const char* name = get_rel_name(definition->stream);
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("a continuous table cannot read stream \"%s\" with the tables that "
                           "inherit from it",
                           name),
                    errhint("Write FROM ONLY %s.", quote_identifier(name))));
}

bool already_there(const IntoClause* into, bool if_not_exists) {
    const Oid schema = RangeVarGetCreationNamespace(into->rel);
    if (!OidIsValid(get_relname_relid(into->rel->relname, schema))) return false;
    ereport(if_not_exists ? NOTICE : ERROR,
            (errcode(ERRCODE_DUPLICATE_TABLE),
             if_not_exists ? errmsg("relation \"%s\" already exists, skipping", into->rel->relname)
                           : errmsg("relation \"%s\" already exists", into->rel->relname)));
    return true;
}

}  // namespace

char* qualified_text(Query* query) {
    const int nest_level = apply_sql_writing_settings();
    char* text = pg_get_querydef(query, false);
    AtEOXact_GUC(true, nest_level);
    return text;
}

void create_continuous_table(const IntoClause* into, Query* query, bool if_not_exists,
                             const char* query_string) {
    PreventCommandIfReadOnly("CREATE TABLE AS");
    check_into(into);
    const ContinuousOptions options = take_continuous_options(into->options);
    if (already_there(into, if_not_exists)) return;
    StoredQuery stored = {};
    query = take_definition(query, &stored);
    TableDefinition* definition = analyze_definition(query);
    check_children(definition);
    check_options(definition, &options);
    check_maintained(definition, options.emit_on_close);
    List* storage = with_fillfactor(options.storage, definition, options.emit_on_close);
    const Oid table = make_table(definition, into, storage, query_string);
    if (options.retention != NULL) make_window_index(definition, into, table, query_string);
    const Oid guard = make_guard(table, query_string);
    record_dependencies(table, guard, definition->query);
    write_catalog(table, definition, &options, stored, into->skipData);
    wake_stream_at_commit(definition->stream);
}

}  // namespace anomaly::pg
