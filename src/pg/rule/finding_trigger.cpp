// Lets through the triggers on anomaly.finding_log that are harmless.
#include "pg/rule/finding_trigger.h"

#include "pg/server/catalog.h"

namespace anomaly::pg {

namespace {

object_access_hook_type previous_hook = NULL;

// Runs with the rights of its owner, or its owner has the worker's.
bool has_own_rights(Oid function) {
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple)) return false;
    const FormData_pg_proc* form = reinterpret_cast<const FormData_pg_proc*>(GETSTRUCT(tuple));
    const bool result = form->prosecdef || superuser_arg(form->proowner);
    ReleaseSysCache(tuple);
    return result;
}

void check_trigger(const char* name, int16 type, bool has_condition, Oid function) {
    if (!TRIGGER_FOR_AFTER(type)) {
        ereport(ERROR,
                (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                 errmsg("trigger \"%s\" on anomaly.finding_log is not an AFTER trigger", name),
                 errdetail("What was found is recorded as it was found.")));
    }
    if (has_condition) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("trigger \"%s\" on anomaly.finding_log has a WHEN condition", name),
                        errdetail("It would be evaluated with the rights of a superuser."),
                        errhint("Put the condition into the trigger's function.")));
    }
    if (!has_own_rights(function)) {
        ereport(ERROR,
                (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                 errmsg("trigger \"%s\" on anomaly.finding_log would run with the rights of a "
                        "superuser",
                        name),
                 errhint("Make function %s SECURITY DEFINER, so that it runs with the rights of "
                         "its owner.",
                         format_procedure(function))));
    }
}

bool is_ours(Oid relation) {
    const Oid extension = get_extension_oid("anomaly", true);
    return OidIsValid(extension) && getExtensionOfObject(RelationRelationId, relation) == extension;
}

void check_new_trigger(Oid trigger) {
    Relation triggers = table_open(TriggerRelationId, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(trigger));
    // It was made by the command that is running.
    SysScanDesc scan = systable_beginscan(triggers, TriggerOidIndexId, true, SnapshotSelf, 1, &key);
    const HeapTuple tuple = systable_getnext(scan);
    if (HeapTupleIsValid(tuple)) {
        const FormData_pg_trigger* form =
            reinterpret_cast<const FormData_pg_trigger*>(GETSTRUCT(tuple));
        if (!form->tgisinternal && is_ours(form->tgrelid)) {
            if (form->tgrelid != catalog_relation("finding_log")) {
                ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                                errmsg("\"%s\" is a table of anomaly and takes no triggers",
                                       get_rel_name(form->tgrelid)),
                                errhint("Make it on anomaly.finding_log, or on a continuous "
                                        "table.")));
            }
            check_trigger(NameStr(form->tgname), form->tgtype,
                          !heap_attisnull(tuple, Anum_pg_trigger_tgqual, triggers->rd_att),
                          form->tgfoid);
        }
    }
    systable_endscan(scan);
    table_close(triggers, AccessShareLock);
}

void on_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void* arg) {
    if (previous_hook != NULL) previous_hook(access, class_id, object_id, sub_id, arg);
    if (access == OAT_POST_CREATE && class_id == TriggerRelationId) check_new_trigger(object_id);
}

}  // namespace

void check_finding_triggers() {
    Relation log = table_open(catalog_relation("finding_log"), RowExclusiveLock);
    const TriggerDesc* triggers = log->trigdesc;
    for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++) {
        const Trigger* one = &triggers->triggers[i];
        if (one->tgisinternal || one->tgenabled == TRIGGER_DISABLED ||
            one->tgenabled == TRIGGER_FIRES_ON_REPLICA) {
            continue;
        }
        check_trigger(one->tgname, one->tgtype, one->tgqual != NULL, one->tgfoid);
    }
    table_close(log, NoLock);
}

void install_finding_trigger_hook() {
    previous_hook = object_access_hook;
    object_access_hook = on_object_access;
}

}  // namespace anomaly::pg
