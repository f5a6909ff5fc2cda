// Which functions an expression of a continuous table may call. The table must always equal its own
// query, so the same message has to give the same value whenever it is read.
#include "pg/compile/compile.h"

namespace anomaly::pg {

namespace {

// Stable functions of pg_catalog that depend on their arguments and on pinned settings (TimeZone,
// DateStyle, IntervalStyle ...) alone. By name, since all overloads are alike in this.
constexpr const char* kPinnedFunctions[] = {"anytextcat",
                                            "array_to_json",
                                            "array_to_string",
                                            "concat",
                                            "concat_ws",
                                            "date",
                                            "date_part",
                                            "date_trunc",
                                            "extract",
                                            "format",
                                            "interval_pl_timestamptz",
                                            "json_build_array",
                                            "json_build_object",
                                            "jsonb_build_array",
                                            "jsonb_build_object",
                                            "length",
                                            "make_timestamptz",
                                            "overlaps",
                                            "quote_literal",
                                            "quote_nullable",
                                            "row_to_json",
                                            "textanycat",
                                            "time",
                                            "timestamp",
                                            "timestamptz",
                                            "timestamptz_mi_interval",
                                            "timestamptz_pl_interval",
                                            "timetz",
                                            "timezone",
                                            "to_char",
                                            "to_date",
                                            "to_json",
                                            "to_jsonb",
                                            "to_number",
                                            "to_timestamp"};

bool ends_with(const char* text, const char* end) {
    const size_t length = strlen(text);
    const size_t end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

// date_lt_timestamptz, timestamptz_ge_date and the like.
bool is_cross_comparison(const char* name) {
    constexpr const char* kOperators[] = {"_eq_", "_ne_", "_lt_", "_le_", "_gt_", "_ge_", "_cmp_"};
    for (const char* op : kOperators) {
        if (strstr(name, op) != NULL) {
            return strncmp(name, "timestamptz", 11) == 0 || ends_with(name, "_timestamptz");
        }
    }
    return false;
}

// Names of relations, roles and the like come and go: regclass and its kin are not pinned.
bool is_type_input_or_output(Form_pg_proc function) {
    if (function->pronargs < 1) return false;
    const bool input = function->proargtypes.values[0] == CSTRINGOID;
    const bool output = function->prorettype == CSTRINGOID;
    return (input || output) && strncmp(NameStr(function->proname), "reg", 3) != 0;
}

bool is_pinned(Form_pg_proc function) {
    if (function->provolatile != PROVOLATILE_STABLE) return false;
    if (function->pronamespace != PG_CATALOG_NAMESPACE || function->pronargs == 0) return false;
    const char* name = NameStr(function->proname);
    for (const char* pinned : kPinnedFunctions) {
        if (strcmp(name, pinned) == 0) return true;
    }
    return is_cross_comparison(name) || is_type_input_or_output(function);
}

[[noreturn]] void refuse_function(Oid function, char volatility) {
    if (volatility == PROVOLATILE_VOLATILE) {
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("function %s cannot be used in a continuous table: it is volatile",
                        format_procedure(function)),
                 errdetail("A volatile function may give another value each time, so that the "
                           "table could not be kept equal to its own query."),
                 errhint("Use the function in a query over the continuous table.")));
    }
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("function %s cannot be used in a continuous table: it is stable only",
                           format_procedure(function)),
                    errdetail("Its result may depend on the time of the statement or on other "
                              "tables, so that the table could not be kept equal to its own "
                              "query."),
                    errhint("If it depends on its arguments alone, declare it IMMUTABLE.")));
}

bool check_function(Oid function, void*) {
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for function %u", function);
    Form_pg_proc form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    const char volatility = form->provolatile;
    const bool fine = volatility == PROVOLATILE_IMMUTABLE || is_pinned(form);
    ReleaseSysCache(tuple);
    if (!fine) refuse_function(function, volatility);
    return false;
}

// What the catalog says of an aggregate as a whole means nothing; its functions count. Those of
// PostgreSQL depend on their input, and on settings that are pinned.
void check_aggregate(const Aggref* aggregate) {
    if (aggregate->aggfnoid < FirstNormalObjectId) return;
    HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate->aggfnoid));
    if (!HeapTupleIsValid(tuple)) {
        elog(ERROR, "cache lookup failed for aggregate %u", aggregate->aggfnoid);
    }
    const FormData_pg_aggregate form = *reinterpret_cast<Form_pg_aggregate>(GETSTRUCT(tuple));
    ReleaseSysCache(tuple);
    const Oid functions[] = {form.aggtransfn, form.aggfinalfn, form.aggserialfn,
                             form.aggdeserialfn};
    for (Oid function : functions) {
        if (OidIsValid(function)) check_function(function, NULL);
    }
}

bool check_node(Node* node, void* context) {
    if (node == NULL) return false;
    if (IsA(node, Aggref)) {
        check_aggregate(castNode(Aggref, node));
    } else {
        check_functions_in_node(node, check_function, context);
    }
    if (IsA(node, SQLValueFunction) || IsA(node, NextValueExpr)) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("a continuous table cannot use the current time, date, user or "
                               "schema, or the next value of a sequence"),
                        errdetail("The same message must give the same row whenever it is read."),
                        errhint("Use them in a query over the continuous table.")));
    }
    return expression_tree_walker(node, check_node, context);
}

}  // namespace

void check_maintainable(Node* expr) {
    check_node(expr, NULL);
}

}  // namespace anomaly::pg
