#include "pg/ddl/aggregate_alter.h"

#include "pg/server/catalog.h"

namespace anomaly::pg {

namespace {

const char* name_of(const DefineStmt* define) {
    return strVal(llast(define->defnames));
}

// What a guard depends on.
const char* read_aggregates(const DefineStmt* define) {
    const CatalogArgument argument = argument_text(name_of(define));
    return catalog_select_text(
        "SELECT pg_catalog.string_agg(a::text, ' ' ORDER BY a.aggfnoid::oid) "
        "FROM pg_catalog.pg_aggregate a JOIN pg_catalog.pg_proc p ON p.oid = a.aggfnoid "
        "WHERE p.proname::text = $1 AND EXISTS (SELECT FROM pg_catalog.pg_depend d "
        "JOIN pg_catalog.pg_trigger t ON t.oid = d.objid AND t.tgname = 'anomaly_guard' "
        "WHERE d.classid = 'pg_catalog.pg_trigger'::regclass AND d.refobjid = p.oid "
        "AND d.refclassid = 'pg_catalog.pg_proc'::regclass)",
        &argument, 1);
}

}  // namespace

const char* aggregates_replaced_by(Node* statement) {
    if (!IsA(statement, DefineStmt)) return NULL;
    const DefineStmt* define = castNode(DefineStmt, statement);
    if (define->kind != OBJECT_AGGREGATE || !define->replace || !catalog_is_there()) return NULL;
    return read_aggregates(define);
}

void check_replaced_aggregates(Node* statement, const char* before) {
    if (before == NULL) return;
    CommandCounterIncrement();
    const DefineStmt* define = castNode(DefineStmt, statement);
    const char* after = read_aggregates(define);
    if (after != NULL && strcmp(before, after) == 0) return;
    ereport(ERROR,
            (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
             errmsg("cannot replace aggregate \"%s\"", name_of(define)),
             errdetail("Continuous tables use it, and keep states that it has computed as it was."),
             errhint("Make another aggregate, and continuous tables that use it.")));
}

}  // namespace anomaly::pg
