// Keeps anomaly.rule right when functions are dropped or renamed.
#include "pg/rule/rule_dependency.h"

#include "pg/rule/rule_check.h"
#include "pg/server/catalog.h"
#include "pg/shared/wake.h"

namespace anomaly::pg {

namespace {

object_access_hook_type previous_hook = NULL;

constexpr int kKeyCount = 3;

// What the rules of a function are found by. False: it cannot be a rule's.
bool make_key(Oid function, CatalogArgument (&key)[kKeyCount]) {
    Oid* types = NULL;
    int count = 0;
    if (!SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(function))) return false;
    get_func_signature(function, &types, &count);
    if (count != 1 && !(count == 2 && types[1] == JSONBOID)) return false;
    const Oid table = get_typ_typrelid(types[0]);
    if (!OidIsValid(table) || !catalog_is_there()) return false;
    key[0] = argument_text(qualified_function_name(function));
    key[1] = argument_oid(REGCLASSOID, table);
    key[2] = argument_bool(count == 2);
    return true;
}

constexpr const char kRulesOfFunction[] =
    "FROM anomaly.rule WHERE function = $1 AND relid = $2 AND (parameters IS NOT NULL) = $3";

Oid function_of(Node* object, ObjectType type) {
    return LookupFuncWithArgs(type, castNode(ObjectWithArgs, object), true);
}

bool is_function(ObjectType type) {
    return type == OBJECT_FUNCTION || type == OBJECT_ROUTINE;
}

void wake_stream_of(const CatalogArgument& table) {
    wake_stream_at_commit(static_cast<Oid>(catalog_select_int(
        "SELECT stream::oid::bigint FROM anomaly.continuous_table WHERE relid = $1", &table, 1,
        InvalidOid)));
}

void wake_all_streams() {
    CatalogArgument after = argument_int8(0);
    for (;;) {
        const int64 stream = catalog_select_int(
            "SELECT min(stream::oid::bigint) FROM anomaly.stream WHERE stream::oid::bigint > $1",
            &after, 1, 0);
        if (stream == 0) return;
        wake_stream_at_commit(static_cast<Oid>(stream));
        after = argument_int8(stream);
    }
}

void drop_rules_of(Oid function) {
    CatalogArgument key[kKeyCount];
    if (!make_key(function, key)) return;
    const bool needs_snapshot = !ActiveSnapshotSet();
    if (needs_snapshot) PushActiveSnapshot(GetTransactionSnapshot());
    const char* names = catalog_select_text(
        psprintf("SELECT string_agg('\"' || name || '\"', ', ' ORDER BY name) %s",
                 kRulesOfFunction),
        key, kKeyCount);
    if (names != NULL) {
        ereport(NOTICE, (errmsg("drop cascades to rule %s", names)));
        catalog_execute(psprintf("DELETE %s", kRulesOfFunction), key, kKeyCount, SPI_OK_DELETE);
        wake_stream_of(key[1]);
    }
    if (needs_snapshot) PopActiveSnapshot();
}

void on_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void* arg) {
    if (previous_hook != NULL) previous_hook(access, class_id, object_id, sub_id, arg);
    if (access == OAT_DROP && class_id == ProcedureRelationId) drop_rules_of(object_id);
}

}  // namespace

void check_rules_of_dropped(const DropStmt* drop) {
    if (!is_function(drop->removeType) || drop->behavior == DROP_CASCADE) return;
    ListCell* cell;
    foreach (cell, drop->objects) {
        const Oid function = function_of(static_cast<Node*>(lfirst(cell)), drop->removeType);
        CatalogArgument key[kKeyCount];
        if (!make_key(function, key)) continue;
        const char* rule = catalog_select_text(
            psprintf("SELECT name %s ORDER BY name LIMIT 1", kRulesOfFunction), key, kKeyCount);
        if (rule == NULL) continue;
        const char* signature = format_procedure(function);
        ereport(ERROR,
                (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
                 errmsg("cannot drop function %s because other objects depend on it", signature),
                 errdetail("rule \"%s\" depends on function %s", rule, signature),
                 errhint("Use anomaly.alter_rule or anomaly.drop_rule first, or DROP ... CASCADE "
                         "to drop the rule too.")));
    }
}

bool begin_rule_rename(Node* statement, RuleRename* rename) {
    rename->function = InvalidOid;
    if (IsA(statement, RenameStmt)) {
        const RenameStmt* of = castNode(RenameStmt, statement);
        if (of->renameType == OBJECT_SCHEMA) {
            rename->old_name = of->subname;
            rename->new_name = of->newname;
            return catalog_is_there();
        }
        if (!is_function(of->renameType)) return false;
        rename->function = function_of(of->object, of->renameType);
    } else if (IsA(statement, AlterObjectSchemaStmt)) {
        const AlterObjectSchemaStmt* of = castNode(AlterObjectSchemaStmt, statement);
        if (!is_function(of->objectType)) return false;
        rename->function = function_of(of->object, of->objectType);
    }
    if (!OidIsValid(rename->function)) return false;
    rename->old_name = qualified_function_name(rename->function);
    return true;
}

void end_rule_rename(const RuleRename& rename) {
    CommandCounterIncrement();
    if (!OidIsValid(rename.function)) {
        const CatalogArgument names[] = {
            argument_text(psprintf("%s.", quote_identifier(rename.old_name))),
            argument_text(psprintf("%s.", quote_identifier(rename.new_name)))};
        catalog_execute(
            "UPDATE anomaly.rule SET function = $2 || substr(function, length($1) + 1) "
            "WHERE starts_with(function, $1)",
            names, lengthof(names), SPI_OK_UPDATE);
        wake_all_streams();
        return;
    }
    CatalogArgument arguments[kKeyCount + 1];
    CatalogArgument key[kKeyCount];
    if (!make_key(rename.function, key)) return;
    arguments[0] = argument_text(rename.old_name);
    arguments[1] = key[1];
    arguments[2] = key[2];
    arguments[3] = key[0];
    catalog_execute(
        "UPDATE anomaly.rule SET function = $4 WHERE function = $1 AND relid = $2 AND "
        "(parameters IS NOT NULL) = $3",
        arguments, lengthof(arguments), SPI_OK_UPDATE);
    wake_stream_of(key[1]);
}

void install_rule_drop_hook() {
    previous_hook = object_access_hook;
    object_access_hook = on_object_access;
}

}  // namespace anomaly::pg
