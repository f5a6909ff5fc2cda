// Checks of anomaly.create_rule and anomaly.alter_rule.
#include "pg/rule/rule_check.h"

#include "pg/ddl/continuous_ddl.h"
#include "pg/query/definition.h"
#include "pg/server/catalog.h"
#include "pg/server/pinned_settings.h"

namespace anomaly::pg {

void check_rule_table(Oid table) {
    require_continuous_table(table);
    if (!owns_object(RelationRelationId, table)) {
        aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(table));
    }
}

namespace {

Oid lookup(List* names, Oid row_type, bool with_parameters) {
    const Oid types[] = {row_type, JSONBOID};
    return LookupFuncName(names, with_parameters ? 2 : 1, types, true);
}

void raise_no_function(const char* name, Oid table, bool with_parameters, bool other_exists) {
    const char* row = get_rel_name(table);
    const char* more = with_parameters ? ", jsonb" : "";
    const char* hint = psprintf("CREATE FUNCTION %s(row %s%s) RETURNS SETOF anomaly.finding ...",
                                name, row, with_parameters ? ", parameters jsonb" : "");
    if (other_exists) {
        hint = with_parameters ? psprintf("Function %s(%s) takes no parameters.", name, row)
                               : psprintf("Function %s(%s, jsonb) wants parameters.", name, row);
    }
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                    errmsg("function %s(%s%s) does not exist", name, row, more),
                    with_parameters ? errdetail("A rule with parameters is a function of one row "
                                                "of its table and a jsonb.")
                                    : errdetail("A rule is a function of one row of its table."),
                    errhint("%s", hint)));
}

Oid find_function(const char* name, Oid table, bool with_parameters) {
    const Oid row_type = get_rel_type_id(table);
    List* names = parse_qualified_name(name);
    const Oid function = lookup(names, row_type, with_parameters);
    if (!OidIsValid(function)) {
        const bool other_exists = OidIsValid(lookup(names, row_type, !with_parameters));
        raise_no_function(name, table, with_parameters, other_exists);
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
    const int nest_level = apply_settings(catalog_select_text(
        "SELECT settings::text FROM anomaly.continuous_table WHERE relid = $1", &argument, 1));
    const TableKind kind = parse_definition(text)->kind;
    AtEOXact_GUC(true, nest_level);
    return kind == TableKind::kWindowed;
}

}  // namespace

const char* check_rule_evaluate(const char* evaluate, Oid table) {
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

void raise_no_rule(const char* name) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("rule \"%s\" does not exist", name),
                    errhint("anomaly.rule_status has the rules that there are.")));
    pg_unreachable();
}

char* qualified_function_name(Oid function) {
    return quote_qualified_identifier(get_namespace_name(get_func_namespace(function)),
                                      get_func_name(function));
}

RuleFunction check_rule_function(const char* name, Oid table, bool with_parameters) {
    const Oid function = find_function(name, table, with_parameters);
    const char* result = result_kind(function);
    check_function_right(function, table);
    return {qualified_function_name(function), result};
}

}  // namespace anomaly::pg
