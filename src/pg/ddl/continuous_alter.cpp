#include "pg/ddl/continuous_alter.h"

#include "pg/ddl/continuous_create.h"
#include "pg/ddl/continuous_ddl.h"
#include "pg/ddl/stream_ddl.h"
#include "pg/server/catalog.h"

namespace anomaly::pg {

namespace {

constexpr const char kColumnsFixed[] = "Its columns are those of its query.";
constexpr const char kDataMustNotStop[] =
    "A constraint would let a message stop the stream; check the data in a rule instead.";
constexpr const char kOwnRowsOnly[] =
    "Its rows are those of its query; those of another table would be read and written with them.";

[[noreturn]] void refuse(Oid relation, const char* what, const char* why, const char* way_out) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot %s continuous table \"%s\"", what, get_rel_name(relation)),
                    errdetail("%s", why), errhint("%s", way_out)));
}

[[noreturn]] void refuse(Oid relation, const char* what, const char* why) {
    refuse(relation, what, why,
           psprintf("DROP TRIGGER %s ON it makes it an ordinary table, with its rows.",
                    kGuardTriggerName));
}

// Cheap for the tables that are none of ours; after a restore the guard comes last.
bool is_ours(Oid relation) {
    return has_guard(relation) && is_continuous_table(relation);
}

// InvalidOid: none of ours.
Oid our_table(const RangeVar* name) {
    if (name == NULL) return InvalidOid;
    const Oid relation = RangeVarGetRelid(name, NoLock, true);
    return is_ours(relation) ? relation : InvalidOid;
}

bool is_guard(const char* trigger) {
    return strcmp(trigger, kGuardTriggerName) == 0;
}

// ---- ALTER TABLE of a continuous table ----

void check_options(Oid relation, const List* options) {
    ListCell* cell;
    foreach (cell, options) {
        const DefElem* option = lfirst_node(DefElem, cell);
        if (option->defnamespace == NULL || strcmp(option->defnamespace, "anomaly") != 0) continue;
        refuse(relation, psprintf("change anomaly.%s of", option->defname),
               "What it holds was computed with the options that it was made with.",
               "Make another continuous table, and drop this one when that has caught up.");
    }
}

bool identifies(char identity, bool has_primary_key) {
    return identity == REPLICA_IDENTITY_FULL || identity == REPLICA_IDENTITY_INDEX ||
           (identity == REPLICA_IDENTITY_DEFAULT && has_primary_key);
}

// Logical replication has to be told which row was changed or deleted. Filters only append.
void check_identity(Oid relation, const ReplicaIdentityStmt* identity) {
    Relation table = table_open(relation, AccessShareLock);
    list_free(RelationGetIndexList(table));
    const bool has_primary_key = OidIsValid(table->rd_pkindex);
    const bool taken_away = identifies(table->rd_rel->relreplident, has_primary_key) &&
                            !identifies(identity->identity_type, has_primary_key);
    table_close(table, NoLock);
    if (!taken_away) return;
    refuse(relation, "take the replica identity from",
           "Published, it could not be updated any more, and would stop.",
           has_primary_key ? "Write REPLICA IDENTITY DEFAULT or FULL."
                           : "Write REPLICA IDENTITY FULL.");
}

void check_command(Oid relation, const AlterTableCmd* command) {
    switch (command->subtype) {
        case AT_AddColumn:
        case AT_DropColumn:
        case AT_AlterColumnType:
        case AT_AddOf:
        case AT_AddInherit:
        case AT_AddIdentity:
            refuse(relation, "change the columns of", kColumnsFixed);
        case AT_AddConstraint:
        case AT_AddIndexConstraint:
        case AT_SetNotNull:
            refuse(relation, "add a constraint to", kDataMustNotStop);
        case AT_DropConstraint:
            refuse(relation, "drop a constraint of", "Its key is the group key of its query.");
        case AT_SetUnLogged:
            refuse(relation, "make unlogged",
                   "Its rows are committed together with its positions in the topic.");
        case AT_DisableTrig:
        case AT_EnableReplicaTrig:
            if (is_guard(command->name)) {
                refuse(relation, "disable the guard of", kOnlyWorkerWrites);
            }
            break;
        case AT_DisableTrigAll:
        case AT_DisableTrigUser:
            refuse(relation, "disable all triggers of", "Its guard is one of them.",
                   "Disable those that are meant, by name.");
        case AT_ForceRowSecurity:
            refuse(relation, "force row security on",
                   "The worker writes it as its owner, and has to see all rows.",
                   "ENABLE ROW LEVEL SECURITY alone is for everybody but the owner.");
        case AT_ReplicaIdentity:
            check_identity(relation, castNode(ReplicaIdentityStmt, command->def));
            break;
        case AT_SetRelOptions:
        case AT_ResetRelOptions:
            check_options(relation, castNode(List, command->def));
            break;
        default:
            break;
    }
}

// ---- other tables' statements, that would bind a continuous table ----

void check_reference(const Constraint* constraint) {
    if (constraint->contype != CONSTR_FOREIGN) return;
    const Oid referenced = our_table(constraint->pktable);
    if (!OidIsValid(referenced)) return;
    if (constraint->fk_del_action != FKCONSTR_ACTION_NOACTION &&
        constraint->fk_del_action != FKCONSTR_ACTION_RESTRICT) {
        return;
    }
    refuse(referenced, "add a foreign key that keeps rows of",
           "A row goes with retention, or when HAVING holds no more; if it could not, the table "
           "would stop.",
           "Say what becomes of the rows that refer to it: ON DELETE CASCADE, SET NULL or SET "
           "DEFAULT.");
}

void check_references_of_column(const ColumnDef* column) {
    ListCell* cell;
    foreach (cell, column->constraints) check_reference(lfirst_node(Constraint, cell));
}

// Of a table that is to be made, or altered, the parent.
void check_parent(const RangeVar* name) {
    const Oid parent = RangeVarGetRelid(name, NoLock, true);
    if (is_ours(parent)) refuse(parent, "inherit from", kOwnRowsOnly);
    check_heir_of(parent);
}

void check_command_of_other(const AlterTableCmd* command) {
    Oid bound = InvalidOid;
    switch (command->subtype) {
        case AT_AddConstraint:
            check_reference(castNode(Constraint, command->def));
            return;
        case AT_AddColumn:
            check_references_of_column(castNode(ColumnDef, command->def));
            return;
        case AT_AddInherit:
            check_parent(castNode(RangeVar, command->def));
            return;
        case AT_AttachPartition:
            bound = our_table(castNode(PartitionCmd, command->def)->name);
            if (OidIsValid(bound)) refuse(bound, "attach", kDataMustNotStop);
            return;
        default:
            return;
    }
}

void check_alter(const AlterTableStmt* alter) {
    const Oid relation = our_table(alter->relation);
    ListCell* cell;
    foreach (cell, alter->cmds) {
        const AlterTableCmd* command = lfirst_node(AlterTableCmd, cell);
        if (OidIsValid(relation)) {
            check_command(relation, command);
        } else {
            check_command_of_other(command);
        }
    }
}

// Foreign keys of a new table come as ALTER TABLE.
void check_create(const CreateStmt* create) {
    ListCell* cell;
    foreach (cell, create->inhRelations) check_parent(lfirst_node(RangeVar, cell));
}

// ---- indexes, rules, triggers ----

void check_index(const IndexStmt* index) {
    if (!index->unique) return;
    const Oid relation = our_table(index->relation);
    if (OidIsValid(relation)) refuse(relation, "add a unique index to", kDataMustNotStop);
}

void check_rule(const RuleStmt* rule) {
    const Oid relation = our_table(rule->relation);
    if (!OidIsValid(relation)) return;
    refuse(relation, "add a rewrite rule to",
           "It would turn the worker's writes into something else; use a trigger.");
}

void check_new_trigger(const CreateTrigStmt* trigger) {
    if (!trigger->replace || !is_guard(trigger->trigname)) return;
    const Oid relation = our_table(trigger->relation);
    if (OidIsValid(relation)) refuse(relation, "replace the guard of", kOnlyWorkerWrites);
}

// What the extension finds by its name.
void check_extension_name(const char* what, const char* name, const char* own_name) {
    if (strcmp(name, own_name) != 0 || !catalog_is_there()) return;
    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("cannot rename %s \"%s\"", what, name),
             errdetail("Extension anomaly finds what it needs by this name."),
             errhint("Streams and continuous tables may be in any schema, under any name; "
                     "DROP EXTENSION anomaly makes this name free.")));
}

void check_rename(const RenameStmt* rename) {
    if (rename->renameType == OBJECT_SCHEMA) {
        check_extension_name("schema", rename->subname, "anomaly");
    } else if (rename->renameType == OBJECT_FDW) {
        check_extension_name("foreign-data wrapper", strVal(rename->object), "anomaly_kafka");
    }
    if (rename->renameType != OBJECT_TRIGGER || !is_guard(rename->subname)) return;
    const Oid relation = our_table(rename->relation);
    if (OidIsValid(relation)) refuse(relation, "rename the guard of", kOnlyWorkerWrites);
}

}  // namespace

void check_continuous_alter(Node* statement) {
    switch (nodeTag(statement)) {
        case T_AlterTableStmt:
            check_alter(castNode(AlterTableStmt, statement));
            break;
        case T_CreateStmt:
            check_create(castNode(CreateStmt, statement));
            break;
        case T_CreateForeignTableStmt:
            check_create(&castNode(CreateForeignTableStmt, statement)->base);
            break;
        case T_IndexStmt:
            check_index(castNode(IndexStmt, statement));
            break;
        case T_RuleStmt:
            check_rule(castNode(RuleStmt, statement));
            break;
        case T_CreateTrigStmt:
            check_new_trigger(castNode(CreateTrigStmt, statement));
            break;
        case T_RenameStmt:
            check_rename(castNode(RenameStmt, statement));
            break;
        default:
            break;
    }
}

}  // namespace anomaly::pg
