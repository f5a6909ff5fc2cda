// Statements that make, alter or drop a continuous table. Everything else passes by untouched.
#include "pg/ddl/continuous_ddl.h"

#include "pg/ddl/continuous_alter.h"
#include "pg/ddl/continuous_create.h"
#include "pg/ddl/continuous_options.h"
#include "pg/ddl/type_alter.h"
#include "pg/server/catalog.h"
#include "pg/shared/wake.h"

namespace anomaly::pg {

namespace {

object_access_hook_type previous_access_hook = NULL;
bool table_writes_allowed = false;

bool makes_continuous_table(const CreateTableAsStmt* create) {
    return has_anomaly_option(create->into->options);
}

void create(const CreateTableAsStmt* statement, const char* query_string) {
    if (statement->objtype != OBJECT_TABLE) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("a materialized view cannot be continuous"),
                        errhint("Write CREATE TABLE ... WITH (anomaly.continuous) AS SELECT ...")));
    }
    Query* query = castNode(Query, copyObjectImpl(statement->query));
    if (query->commandType == CMD_UTILITY) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("a continuous table cannot be made from EXECUTE"),
                        errhint("Write the SELECT itself.")));
    }
    create_continuous_table(statement->into, query, statement->if_not_exists, query_string);
}

// Event triggers see it as they see CREATE TABLE AS, with the commands that it consists of.
void create_with_event_triggers(CreateTableAsStmt* statement, const char* query_string) {
    Node* node = reinterpret_cast<Node*>(statement);
    const bool needs_cleanup = EventTriggerBeginCompleteQuery();
    PG_TRY();
    {
        EventTriggerDDLCommandStart(node);
        create(statement, query_string);
        EventTriggerDDLCommandEnd(node);
    }
    PG_FINALLY();
    {
        if (needs_cleanup) EventTriggerEndCompleteQuery();
    }
    PG_END_TRY();
}

// EXPLAIN ANALYZE would run the statement past us, through the executor.
void check_explain(const ExplainStmt* explain) {
    const Query* query = castNode(Query, explain->query);
    if (query->commandType != CMD_UTILITY || !IsA(query->utilityStmt, CreateTableAsStmt)) return;
    if (!makes_continuous_table(castNode(CreateTableAsStmt, query->utilityStmt))) return;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("EXPLAIN of a statement that makes a continuous table is not supported"),
                    errhint("EXPLAIN its SELECT.")));
}

// ---- drops ----

void forget(const char* const* statements, int count, Oid relation, int expected) {
    const CatalogArgument argument = argument_oid(REGCLASSOID, relation);
    const bool needs_snapshot = !ActiveSnapshotSet();
    if (needs_snapshot) PushActiveSnapshot(GetTransactionSnapshot());
    for (int i = 0; i < count; i++) catalog_execute(statements[i], &argument, 1, expected);
    if (needs_snapshot) PopActiveSnapshot();
}

void forget_table(Oid relation) {
    static const char* const kStatements[] = {
        "DELETE FROM anomaly.rule WHERE relid = $1",
        "DELETE FROM anomaly.finding_state WHERE relid = $1",
        "DELETE FROM anomaly.checkpoint WHERE relid = $1",
        "DELETE FROM anomaly.late_row WHERE relid = $1",
        "DELETE FROM anomaly.dead_letter WHERE relid = $1",
        "DELETE FROM anomaly.lost_range WHERE relid = $1",
        "DELETE FROM anomaly.table_progress WHERE relid = $1",
        "DELETE FROM anomaly.continuous_table WHERE relid = $1",
    };
    const CatalogArgument argument = argument_oid(REGCLASSOID, relation);
    const Oid stream = static_cast<Oid>(catalog_select_int(
        "SELECT stream::oid::bigint FROM anomaly.continuous_table WHERE relid = $1", &argument, 1,
        InvalidOid));
    forget(kStatements, lengthof(kStatements), relation, SPI_OK_DELETE);
    static const char* const kNotMissed[] = {
        "UPDATE anomaly.dead_letter SET missed_by = array_remove(missed_by, $1), "
        "replay_for = array_remove(replay_for, $1) WHERE $1 = ANY (missed_by)"};
    forget(kNotMissed, lengthof(kNotMissed), relation, SPI_OK_UPDATE);
    if (OidIsValid(stream)) wake_stream_at_commit(stream);
}

void forget_stream(Oid relation) {
    static const char* const kStatements[] = {
        "DELETE FROM anomaly.dead_letter WHERE stream = $1",
        "DELETE FROM anomaly.dead_letter_count WHERE stream = $1",
        "DELETE FROM anomaly.replay_request WHERE stream = $1",
        "DELETE FROM anomaly.stream WHERE stream = $1",
    };
    forget(kStatements, lengthof(kStatements), relation, SPI_OK_DELETE);
    wake_manager_at_commit();
}

Oid relation_of_guard(Oid trigger) {
    Relation triggers = table_open(TriggerRelationId, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(trigger));
    SysScanDesc scan = systable_beginscan(triggers, TriggerOidIndexId, true, NULL, 1, &key);
    const HeapTuple tuple = systable_getnext(scan);
    Oid relation = InvalidOid;
    if (HeapTupleIsValid(tuple)) {
        const FormData_pg_trigger* form =
            reinterpret_cast<const FormData_pg_trigger*>(GETSTRUCT(tuple));
        if (strcmp(NameStr(form->tgname), kGuardTriggerName) == 0) relation = form->tgrelid;
    }
    systable_endscan(scan);
    table_close(triggers, AccessShareLock);
    return relation;
}

void on_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void* arg) {
    if (previous_access_hook != NULL) {
        previous_access_hook(access, class_id, object_id, sub_id, arg);
    }
    if (access != OAT_DROP || sub_id != 0) return;
    if (class_id == TriggerRelationId) {
        const Oid relation = relation_of_guard(object_id);
        if (OidIsValid(relation) && catalog_is_there()) forget_table(relation);
    } else if (class_id == RelationRelationId &&
               get_rel_relkind(object_id) == RELKIND_FOREIGN_TABLE && catalog_is_there()) {
        forget_stream(object_id);
    }
}

}  // namespace

bool handle_continuous_statement(PlannedStmt* statement, const char* query_string) {
    Node* node = statement->utilityStmt;
    switch (nodeTag(node)) {
        case T_CreateTableAsStmt:
            if (!makes_continuous_table(castNode(CreateTableAsStmt, node))) return false;
            create_with_event_triggers(castNode(CreateTableAsStmt, node), query_string);
            return true;
        case T_ExplainStmt:
            check_explain(castNode(ExplainStmt, node));
            return false;
        default:
            check_continuous_alter(node);
            check_type_alter(node);
            return false;
    }
}

void allow_table_writes(bool allow) {
    table_writes_allowed = allow;
}

void install_continuous_drop_hook() {
    previous_access_hook = object_access_hook;
    object_access_hook = on_object_access;
}

bool is_continuous_table(Oid relation) {
    const CatalogArgument argument = argument_oid(REGCLASSOID, relation);
    return catalog_is_there() &&
           catalog_select_int("SELECT 1::bigint FROM anomaly.continuous_table WHERE relid = $1",
                              &argument, 1, 0) == 1;
}

bool has_guard(Oid relation) {
    return OidIsValid(relation) && OidIsValid(get_trigger_oid(relation, kGuardTriggerName, true));
}

void require_continuous_table(Oid relation) {
    if (is_continuous_table(relation)) return;
    const char* name = get_rel_name(relation);
    ereport(ERROR,
            (errcode(ERRCODE_WRONG_OBJECT_TYPE),
             errmsg("%s is not a continuous table", name == NULL ? "this" : quote_identifier(name)),
             errhint("One is made by CREATE TABLE ... WITH (anomaly.continuous) AS "
                     "SELECT.")));
}

// Statement trigger on every continuous table: only its stream's worker writes it.
ANOMALY_FUNCTION(anomaly_guard) {
    if (!CALLED_AS_TRIGGER(fcinfo)) {
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("anomaly.guard() must be called as a trigger")));
    }
    if (!table_writes_allowed) {
        const TriggerData* data = reinterpret_cast<TriggerData*>(fcinfo->context);
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("cannot change continuous table \"%s\"",
                               RelationGetRelationName(data->tg_relation)),
                        errdetail("%s", kOnlyWorkerWrites),
                        errhint("DROP TRIGGER %s ON it makes it an ordinary table, with its rows.",
                                kGuardTriggerName)));
    }
    return PointerGetDatum(NULL);
}

}  // namespace anomaly::pg
