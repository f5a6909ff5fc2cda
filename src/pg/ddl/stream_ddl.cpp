// Watches over the definitions of streams.
#include "pg/ddl/stream_ddl.h"

#include "pg/ddl/stored_definition.h"
#include "pg/server/catalog.h"
#include "pg/shared/wake.h"
#include "pg/stream/options.h"
#include "pg/stream/stream.h"

namespace anomaly::pg {

namespace {

// ---- what depends on a stream ----

// NULL: no continuous table reads it.
const char* tables_of(Oid stream) {
    if (!catalog_is_there()) return NULL;
    const CatalogArgument argument = argument_oid(REGCLASSOID, stream);
    return catalog_select_text(
        "SELECT pg_catalog.string_agg(relid::text, ', ' ORDER BY relid::text COLLATE \"C\") "
        "FROM anomaly.continuous_table WHERE stream = $1",
        &argument, 1);
}

// Those that use the column: their guard depends on it.
const char* tables_that_use(Oid stream, const char* column) {
    if (!catalog_is_there()) return NULL;
    const CatalogArgument arguments[] = {argument_oid(REGCLASSOID, stream), argument_text(column)};
    return catalog_select_text(
        "SELECT pg_catalog.string_agg(DISTINCT c.relid::text, ', ') "
        "FROM anomaly.continuous_table c JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.relid "
        "JOIN pg_catalog.pg_depend d ON d.objid = t.oid "
        "AND d.classid = 'pg_catalog.pg_trigger'::regclass "
        "AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.stream "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.stream AND a.attnum = d.refobjsubid "
        "WHERE c.stream = $1 AND t.tgname = 'anomaly_guard' AND a.attname::text = $2",
        arguments, lengthof(arguments));
}

// Of those that read the stream, the next after arguments[1], which goes on to it. 0: none.
int64 next_table_of(CatalogArgument (&arguments)[2]) {
    const int64 next = catalog_select_int(
        "SELECT min(relid::oid::bigint) FROM anomaly.continuous_table "
        "WHERE stream = $1 AND relid::oid::bigint > $2",
        arguments, lengthof(arguments), 0);
    arguments[1] = argument_int8(next);
    return next;
}

[[noreturn]] void refuse(Oid stream, const char* what, const char* tables, const char* why,
                         const char* hint) {
    ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
                    errmsg("cannot %s of stream \"%s\"", what, get_rel_name(stream)),
                    errdetail("Continuous tables depend on it: %s. %s", tables, why),
                    errhint("%s", hint)));
}

bool is_same(const char* a, const char* b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

// The positions of tables are offsets of the topic, their windows of the event time.
void check_table_options(Oid stream, const List* options) {
    static const char* const kFixed[] = {"topic", "event_time"};
    static const char* const kWhy[] = {
        "Their positions are offsets of the topic that they have read.",
        "Their windows and watermarks are of the event time that they were made with."};
    ListCell* cell;
    foreach (cell, options) {
        const DefElem* option = lfirst_node(DefElem, cell);
        for (Size i = 0; i < lengthof(kFixed); i++) {
            if (strcmp(option->defname, kFixed[i]) != 0) continue;
            const char* before = find_option(GetForeignTable(stream)->options, kFixed[i]);
            const char* after = option->defaction == DEFELEM_DROP
                                    ? NULL
                                    : defGetString(const_cast<DefElem*>(option));
            const char* tables = tables_of(stream);
            if (tables == NULL || is_same(before, after)) continue;
            refuse(stream, psprintf("change option \"%s\"", kFixed[i]), tables, kWhy[i],
                   "Make another foreign table, and continuous tables over it.");
        }
    }
}

void check_column(Oid stream, const char* column, const char* what) {
    const char* tables = tables_that_use(stream, column);
    if (tables == NULL) return;
    refuse(stream, psprintf("%s \"%s\"", what, column), tables,
           "What they hold was computed from it as it was.",
           "Add another column, and make continuous tables that use it.");
}

// The column of the relation that the expression hands up as it is, 0: none.
AttrNumber column_of(const Query* query, const Node* expr, Oid relation) {
    if (!IsA(expr, Var) || castNode(Var, expr)->varlevelsup != 0) return 0;
    const Var* var = castNode(Var, expr);
    const RangeTblEntry* entry = rt_fetch(var->varno, query->rtable);
    if (entry->rtekind == RTE_RELATION) return entry->relid == relation ? var->varattno : 0;
    const Query* below = entry->rtekind == RTE_SUBQUERY ? entry->subquery : NULL;
    if (entry->rtekind == RTE_CTE) {
        ListCell* cell;
        foreach (cell, query->cteList) {
            const CommonTableExpr* with = lfirst_node(CommonTableExpr, cell);
            if (strcmp(with->ctename, entry->ctename) == 0) below = castNode(Query, with->ctequery);
        }
    }
    if (below == NULL || var->varattno <= 0) return 0;
    const TargetEntry* target = get_tle_by_resno(below->targetList, var->varattno);
    return column_of(below, reinterpret_cast<const Node*>(target->expr), relation);
}

bool is_not_null(Oid relation, AttrNumber column) {
    const HeapTuple tuple =
        SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(column));
    if (!HeapTupleIsValid(tuple)) return true;
    const bool result = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple))->attnotnull;
    ReleaseSysCache(tuple);
    return result;
}

void check_key(Oid stream, const StoredDefinition* definition) {
    Query* query = definition->query;
    flatten_group_entries(query);
    ListCell* cell;
    foreach (cell, query->groupClause) {
        const TargetEntry* target =
            get_sortgroupclause_tle(lfirst_node(SortGroupClause, cell), query->targetList);
        const AttrNumber column =
            column_of(query, reinterpret_cast<const Node*>(target->expr), stream);
        if (column <= 0 || is_not_null(stream, column)) continue;
        if (!is_not_null(definition->table, target->resno)) continue;
        refuse(stream,
               psprintf("drop NOT NULL of column \"%s\"", get_attname(stream, column, false)),
               quote_identifier(get_rel_name(definition->table)),
               "It is a column of their key that takes no NULL: a message without it would stop "
               "them.",
               "Make another foreign table, and continuous tables over it.");
    }
}

// After the statement, since there is more than one way to say DROP NOT NULL.
void check_keys(Oid stream) {
    if (!catalog_is_there()) return;
    CatalogArgument arguments[] = {argument_oid(REGCLASSOID, stream), argument_int8(0)};
    for (;;) {
        const int64 next = next_table_of(arguments);
        if (next == 0) return;
        const StoredDefinition* definition = read_stored_definition(static_cast<Oid>(next));
        if (definition != NULL) check_key(stream, definition);
    }
}

void check_alter(Oid stream, const AlterTableStmt* alter) {
    ListCell* cell;
    foreach (cell, alter->cmds) {
        const AlterTableCmd* command = lfirst_node(AlterTableCmd, cell);
        switch (command->subtype) {
            case AT_GenericOptions:
                check_table_options(stream, castNode(List, command->def));
                break;
            case AT_AlterColumnType:
                check_column(stream, command->name, "change the type of column");
                break;
            case AT_DropExpression:
                check_column(stream, command->name, "drop the expression of column");
                break;
            case AT_DropColumn:
                if (command->behavior == DROP_CASCADE) break;
                check_column(stream, command->name, "drop column");
                break;
            default:
                if (!is_set_expression(command->subtype)) break;
                check_column(stream, command->name, "change the expression of column");
                break;
        }
    }
}

// A field is found by its column's name, unless a path says otherwise.
void check_column_rename(Oid stream, const RenameStmt* rename) {
    if (rename->renameType != OBJECT_COLUMN) return;
    const AttrNumber number = get_attnum(stream, rename->subname);
    if (number <= 0) return;
    const List* options = GetForeignColumnOptions(stream, number);
    if (find_option(options, "path") != NULL || find_option(options, "metadata") != NULL) return;
    if (get_attgenerated(stream, number) != '\0') return;
    const char* tables = tables_that_use(stream, rename->subname);
    if (tables == NULL) return;
    refuse(stream, psprintf("rename column \"%s\"", rename->subname), tables,
           "The field of the messages is found by the column's name.",
           psprintf("ALTER COLUMN %s OPTIONS (ADD path '$.%s') first.",
                    quote_identifier(rename->subname), rename->subname));
}

// ---- the statements ----

// Without ONLY.
bool reads_children(Node* node, void* stream) {
    if (node == NULL) return false;
    if (!IsA(node, Query)) return expression_tree_walker(node, reads_children, stream);
    Query* query = castNode(Query, node);
    ListCell* cell;
    foreach (cell, query->rtable) {
        const RangeTblEntry* entry = lfirst_node(RangeTblEntry, cell);
        if (entry->rtekind != RTE_RELATION || entry->relid != *static_cast<Oid*>(stream)) continue;
        if (entry->inh) return true;
    }
    return query_tree_walker(query, reads_children, stream, 0);
}

Oid stream_of(const RangeVar* name) {
    if (name == NULL) return InvalidOid;
    const Oid relation = RangeVarGetRelid(name, NoLock, true);
    return OidIsValid(relation) && is_stream(relation) ? relation : InvalidOid;
}

Oid our_server(const char* name) {
    const ForeignServer* server = GetForeignServerByName(name, true);
    if (server == NULL) return InvalidOid;
    const bool is_ours =
        strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, "anomaly_kafka") == 0;
    return is_ours ? server->serverid : InvalidOid;
}

void wake_streams_of_server(Oid server) {
    if (!catalog_is_there()) return;
    CatalogArgument arguments[] = {argument_oid(OIDOID, server), argument_int8(0)};
    for (;;) {
        const int64 stream = catalog_select_int(
            "SELECT min(s.stream::oid::bigint) FROM anomaly.stream s "
            "JOIN pg_catalog.pg_foreign_table f ON f.ftrelid = s.stream "
            "WHERE f.ftserver = $1 AND s.stream::oid::bigint > $2",
            arguments, lengthof(arguments), 0);
        if (stream == 0) return;
        wake_stream_at_commit(static_cast<Oid>(stream));
        arguments[1] = argument_int8(stream);
    }
}

}  // namespace

void check_heir_of(Oid parent) {
    if (!OidIsValid(parent) || !is_stream(parent) || !catalog_is_there()) return;
    CatalogArgument arguments[] = {argument_oid(REGCLASSOID, parent), argument_int8(0)};
    for (;;) {
        const int64 next = next_table_of(arguments);
        if (next == 0) return;
        const StoredDefinition* definition = read_stored_definition(static_cast<Oid>(next));
        if (definition != NULL &&
            reads_children(reinterpret_cast<Node*>(definition->query), &parent)) {
            ereport(ERROR,
                    (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                     errmsg("cannot inherit from stream \"%s\"", get_rel_name(parent)),
                     errdetail("Continuous table \"%s\" reads the stream alone; its query would "
                               "read the rows of the other table with it.",
                               get_rel_name(definition->table)),
                     errhint("A continuous table that is made with FROM ONLY %s allows it.",
                             quote_identifier(get_rel_name(parent)))));
        }
    }
}

bool begin_stream_statement(Node* node, StreamStatement* out) {
    switch (nodeTag(node)) {
        case T_CreateForeignTableStmt:
            out->made = reinterpret_cast<CreateForeignTableStmt*>(node)->base.relation;
            return true;
        case T_AlterTableStmt: {
            const AlterTableStmt* alter = castNode(AlterTableStmt, node);
            out->stream = stream_of(alter->relation);
            if (OidIsValid(out->stream)) check_alter(out->stream, alter);
            break;
        }
        case T_RenameStmt:
            out->stream = stream_of(castNode(RenameStmt, node)->relation);
            if (!OidIsValid(out->stream)) break;
            check_column_rename(out->stream, castNode(RenameStmt, node));
            break;
        case T_AlterObjectSchemaStmt:
            out->stream = stream_of(castNode(AlterObjectSchemaStmt, node)->relation);
            break;
        case T_AlterForeignServerStmt:
            out->server = our_server(castNode(AlterForeignServerStmt, node)->servername);
            break;
        case T_CreateUserMappingStmt:
            out->server = our_server(castNode(CreateUserMappingStmt, node)->servername);
            break;
        case T_AlterUserMappingStmt:
            out->server = our_server(castNode(AlterUserMappingStmt, node)->servername);
            break;
        case T_DropUserMappingStmt:
            out->server = our_server(castNode(DropUserMappingStmt, node)->servername);
            break;
        default:
            return false;
    }
    return OidIsValid(out->stream) || OidIsValid(out->server);
}

void end_stream_statement(const StreamStatement* statement) {
    CommandCounterIncrement();
    Oid stream = statement->stream;
    if (statement->made != NULL) stream = stream_of(statement->made);
    if (OidIsValid(stream) && is_stream(stream)) {
        // Whatever the parts of the definition say to one another is checked here.
        load_stream(stream, NULL);
        if (statement->made == NULL) {
            check_keys(stream);
            wake_stream_at_commit(stream);
        }
    }
    if (!OidIsValid(statement->server)) return;
    // Workers are woken by the commit before others hear that their caches are out of date: this
    // is what they wait for.
    LockDatabaseObject(ForeignServerRelationId, statement->server, 0, AccessExclusiveLock);
    wake_streams_of_server(statement->server);
}

}  // namespace anomaly::pg
