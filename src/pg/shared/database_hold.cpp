// Which database a command needs free, and whether the caller may ask for that.
#include "pg/shared/database_hold.h"

#include "pg/shared/shmem.h"
#include "pg/shared/wake.h"

namespace anomaly::pg {

namespace {

// A worker leaves within a moment; if one does not, the command says what it says to any session.
constexpr int kLongestWait_ms = 4000;
bool holds_any = false;
bool registered = false;

// An exit by FATAL also aborts the transaction first.
void at_transaction_end(XactEvent event, void*) {
    const bool ended =
        event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE;
    if (!ended || !holds_any) return;
    holds_any = false;
    release_held_databases();
}

const char* string_option(const List* options, const char* name) {
    ListCell* cell;
    foreach (cell, options) {
        auto* option = static_cast<DefElem*>(lfirst(cell));
        if (strcmp(option->defname, name) == 0 && option->arg != NULL) return defGetString(option);
    }
    return NULL;
}

bool may_create_databases() {
    if (superuser()) return true;
    HeapTuple role = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
    if (!HeapTupleIsValid(role)) return false;
    const bool may = reinterpret_cast<Form_pg_authid>(GETSTRUCT(role))->rolcreatedb;
    ReleaseSysCache(role);
    return may;
}

bool is_template(Oid database) {
    HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
    if (!HeapTupleIsValid(tuple)) return false;
    const bool result = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple))->datistemplate;
    ReleaseSysCache(tuple);
    return result;
}

// The same question that CREATE DATABASE asks of its template.
Oid template_to_copy(const CreatedbStmt* statement) {
    const char* name = string_option(statement->options, "template");
    const Oid database = get_database_oid(name == NULL ? "template1" : name, true);
    if (!OidIsValid(database) || !may_create_databases()) return InvalidOid;
    const bool may_copy = is_template(database) || owns_object(DatabaseRelationId, database);
    return may_copy ? database : InvalidOid;
}

Oid owned_database(const char* name) {
    const Oid database = get_database_oid(name, true);
    if (!OidIsValid(database) || !owns_object(DatabaseRelationId, database)) return InvalidOid;
    return database;
}

// InvalidOid: none, or not for this caller (the command itself will say why).
Oid database_to_free(Node* statement) {
    switch (nodeTag(statement)) {
        case T_DropdbStmt:
            return owned_database(reinterpret_cast<DropdbStmt*>(statement)->dbname);
        case T_CreatedbStmt:
            return template_to_copy(reinterpret_cast<CreatedbStmt*>(statement));
        case T_AlterDatabaseStmt: {
            const auto* alter = reinterpret_cast<AlterDatabaseStmt*>(statement);
            const bool moves = string_option(alter->options, "tablespace") != NULL;
            return moves ? owned_database(alter->dbname) : InvalidOid;
        }
        case T_RenameStmt: {
            const auto* rename = reinterpret_cast<RenameStmt*>(statement);
            const bool may = rename->renameType == OBJECT_DATABASE && may_create_databases();
            return may ? owned_database(rename->subname) : InvalidOid;
        }
        default:
            return InvalidOid;
    }
}

}  // namespace

void make_room_for_database_command(Node* statement) {
    wake_launcher_at_commit();
    const Oid database = database_to_free(statement);
    // But for copying it, a command on the database one is connected to fails by itself.
    if (!OidIsValid(database)) return;
    if (database == MyDatabaseId && !IsA(statement, CreatedbStmt)) return;
    if (!registered) RegisterXactCallback(at_transaction_end, NULL);
    registered = true;
    holds_any = true;
    if (hold_database(database)) wait_until_database_free(database, kLongestWait_ms);
}

}  // namespace anomaly::pg
