#include "pg/ddl/grant_ddl.h"

#include "pg/server/array_argument.h"
#include "pg/shared/wake.h"

namespace anomaly::pg {

namespace {

// Streams, after that one, of which a table may have to stop or may go on. $2: the relations that
// the statement is about, NULL: it may be any.
constexpr char kNextStream[] =
    "SELECT min(k.stream::oid::bigint) FROM anomaly.continuous_table k "
    "JOIN anomaly.table_progress p USING (relid) JOIN pg_catalog.pg_class c ON c.oid = k.relid "
    "WHERE k.stream::oid::bigint > $1 "
    "AND ($2 IS NULL OR k.stream::oid = ANY ($2) OR k.views::oid[] && $2) "
    "AND (p.failures > 0 OR k.views IS NOT NULL "
    "OR NOT pg_catalog.has_table_privilege(c.relowner, k.stream::oid, 'SELECT'))";

// False: of none that can be read.
bool relations_of(const GrantStmt* grant, CatalogArgument* relations) {
    *relations = {OIDARRAYOID, Datum{0}, true};
    if (grant->objtype != OBJECT_TABLE || grant->targtype == ACL_TARGET_DEFAULTS) return false;
    if (grant->targtype == ACL_TARGET_ALL_IN_SCHEMA) return true;
    ArrayColumn column = make_array_column(OIDOID, list_length(grant->objects));
    ListCell* cell;
    foreach (cell, grant->objects) {
        const Oid relation = RangeVarGetRelid(lfirst_node(RangeVar, cell), NoLock, true);
        const char kind = get_rel_relkind(relation);
        if (kind != RELKIND_FOREIGN_TABLE && kind != RELKIND_VIEW) continue;
        append_value(&column, ObjectIdGetDatum(relation));
    }
    *relations = argument_array(column);
    return column.count > 0;
}

bool may_concern_reading(Node* statement, CatalogArgument* relations) {
    *relations = {OIDARRAYOID, Datum{0}, true};
    switch (nodeTag(statement)) {
        case T_GrantStmt:
            return relations_of(castNode(GrantStmt, statement), relations);
        case T_GrantRoleStmt:
        case T_DropOwnedStmt:
        case T_ReassignOwnedStmt:
            return true;
        default:
            return false;
    }
}

}  // namespace

void wake_readers_after_grant(Node* statement) {
    CatalogArgument arguments[] = {argument_int8(0), {}};
    if (!may_concern_reading(statement, &arguments[1]) || !catalog_is_there()) return;
    CommandCounterIncrement();
    for (;;) {
        const int64 next = catalog_select_int(kNextStream, arguments, lengthof(arguments), 0);
        if (next == 0) return;
        const Oid stream = static_cast<Oid>(next);
        // As of ALTER SERVER: loading waits until others hear of what this transaction does.
        LockDatabaseObject(ForeignServerRelationId, GetForeignServerIdByRelId(stream), 0,
                           AccessExclusiveLock);
        wake_stream_at_commit(stream);
        arguments[0] = argument_int8(next);
    }
}

}  // namespace anomaly::pg
