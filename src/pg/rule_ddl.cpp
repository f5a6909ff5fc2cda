// anomaly.create_rule and anomaly.drop_rule.
#include "pg/catalog.h"
#include "pg/continuous_ddl.h"
#include "pg/definition.h"
#include "pg/pinned_settings.h"
#include "pg/wake.h"

namespace anomaly::pg {

namespace {

void check_table(Oid table) {
    require_continuous_table(table);
    if (!owns_object(RelationRelationId, table)) {
        aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(table));
    }
}

Oid find_function(const char* name, Oid row_type, Oid table) {
    List* names = parse_qualified_name(name);
    const Oid function = LookupFuncName(names, 1, &row_type, true);
    if (!OidIsValid(function)) {
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                        errmsg("function %s(%s) does not exist", name, get_rel_name(table)),
                        errdetail("A rule is a function of one row of its table."),
                        errhint("CREATE FUNCTION %s(row %s) RETURNS SETOF anomaly.finding ...",
                                name, get_rel_name(table))));
    }
    return function;
}

// What the function returns, in the catalog's words.
const char* result_kind(Oid function) {
    const Oid type = get_func_rettype(function);
    const Oid schema = get_namespace_oid("anomaly", false);
    const Oid finding_type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
                                             CStringGetDatum("finding"), ObjectIdGetDatum(schema));
    if (type == finding_type) return "finding";
    if (!get_func_retset(function) && type == BOOLOID) return "boolean";
    if (!get_func_retset(function) && type == TEXTOID) return "text";
    ereport(ERROR,
            (errcode(ERRCODE_DATATYPE_MISMATCH),
             errmsg("function %s returns %s%s, which a rule cannot", format_procedure(function),
                    get_func_retset(function) ? "SETOF " : "", format_type_be(type)),
             errhint("Return boolean, text (NULL: fine), anomaly.finding or SETOF "
                     "anomaly.finding.")));
}

void check_function_right(Oid function, Oid table) {
    const Oid owner = relation_owner(table);
    const AclResult result = function_aclcheck(function, owner, ACL_EXECUTE);
    if (result != ACLCHECK_OK) {
        aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
    }
}

bool table_has_windows(Oid table) {
    const CatalogArgument argument = argument_oid(REGCLASSOID, table);
    char* text = catalog_select_text(
        "SELECT definition FROM anomaly.continuous_table WHERE relid = $1", &argument, 1);
    return parse_definition(text)->kind == TableKind::kWindowed;
}

const char* check_evaluate(const char* evaluate, Oid table) {
    const bool windows = table_has_windows(table);
    if (evaluate == NULL) return windows ? "close" : "update";
    if (strcmp(evaluate, "update") == 0) return evaluate;
    if (strcmp(evaluate, "close") != 0) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("invalid value for evaluate: \"%s\"", evaluate),
                        errhint("Write close (when a window is final) or update (on every "
                                "change).")));
    }
    if (!windows) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("\"%s\" has no windows that could close", get_rel_name(table)),
                        errhint("Leave evaluate out, or write update.")));
    }
    return evaluate;
}

char* text_argument(FunctionCallInfo fcinfo, int number, const char* name) {
    if (PG_ARGISNULL(number)) {
        ereport(ERROR,
                (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be NULL", name)));
    }
    return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

void wake_stream_of(Oid table) {
    const CatalogArgument argument = argument_oid(REGCLASSOID, table);
    wake_stream_at_commit(static_cast<Oid>(catalog_select_int(
        "SELECT stream::oid::bigint FROM anomaly.continuous_table WHERE relid = $1", &argument, 1,
        InvalidOid)));
}

char* qualified_function_name(Oid function) {
    return quote_qualified_identifier(get_namespace_name(get_func_namespace(function)),
                                      get_func_name(function));
}

}  // namespace

ANOMALY_FUNCTION(anomaly_create_rule) {
    const char* name = text_argument(fcinfo, 0, "name");
    if (PG_ARGISNULL(1)) {
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("relid must not be NULL")));
    }
    const Oid table = PG_GETARG_OID(1);
    const char* function_name = text_argument(fcinfo, 2, "function");
    check_table(table);
    const Oid function = find_function(function_name, get_rel_type_id(table), table);
    const char* result = result_kind(function);
    check_function_right(function, table);
    const char* evaluate =
        check_evaluate(PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3)), table);
    const CatalogArgument arguments[] = {
        argument_text(name),
        argument_oid(REGCLASSOID, table),
        argument_text(qualified_function_name(function)),
        argument_text(result),
        argument_text(evaluate),
        argument_text(current_search_path()),
    };
    if (catalog_execute(
            "INSERT INTO anomaly.rule (name, relid, function, result, evaluate, "
            "search_path) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING",
            arguments, lengthof(arguments), SPI_OK_INSERT) == 0) {
        ereport(ERROR,
                (errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("rule \"%s\" already exists", name),
                 errhint("Drop it with anomaly.drop_rule, or choose another name.")));
    }
    wake_stream_of(table);
    PG_RETURN_VOID();
}

ANOMALY_FUNCTION(anomaly_drop_rule) {
    const char* name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    const CatalogArgument argument = argument_text(name);
    const Oid table = static_cast<Oid>(catalog_select_int(
        "SELECT relid::oid::bigint FROM anomaly.rule WHERE name = $1", &argument, 1, InvalidOid));
    if (!OidIsValid(table)) {
        ereport(ERROR,
                (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("rule \"%s\" does not exist", name)));
    }
    check_table(table);
    wake_stream_of(table);
    catalog_execute("DELETE FROM anomaly.rule WHERE name = $1", &argument, 1, SPI_OK_DELETE);
    PG_RETURN_VOID();
}

}  // namespace anomaly::pg
