// anomaly.create_rule, alter_rule, enable_rule, disable_rule and drop_rule.
#include "pg/rule/rule_check.h"
#include "pg/server/catalog.h"
#include "pg/server/pinned_settings.h"
#include "pg/shared/wake.h"

namespace anomaly::pg {

namespace {

char* text_argument(FunctionCallInfo fcinfo, int number, const char* name) {
    if (PG_ARGISNULL(number)) {
        ereport(ERROR,
                (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be NULL", name)));
    }
    return text_to_cstring(PG_GETARG_TEXT_PP(number));
}

char* text_or_null(FunctionCallInfo fcinfo, int number) {
    return PG_ARGISNULL(number) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(number));
}

// The json null stands for no parameters.
CatalogArgument parameters_argument(FunctionCallInfo fcinfo, int number) {
    if (PG_ARGISNULL(number)) return {JSONBOID, Datum{0}, true};
    Jsonb* value = PG_GETARG_JSONB_P(number);
    JsonbValue scalar;
    const bool is_null = JsonbExtractScalar(&value->root, &scalar) && scalar.type == jbvNull;
    return {JSONBOID, JsonbPGetDatum(value), is_null};
}

void wake_stream_of(Oid table) {
    const CatalogArgument argument = argument_oid(REGCLASSOID, table);
    wake_stream_at_commit(static_cast<Oid>(catalog_select_int(
        "SELECT stream::oid::bigint FROM anomaly.continuous_table WHERE relid = $1", &argument, 1,
        InvalidOid)));
}

// The table of a rule that the caller may change. Its worker reads the rules again at commit.
Oid open_rule(const char* name) {
    const CatalogArgument argument = argument_text(name);
    const Oid table = static_cast<Oid>(catalog_select_int(
        "SELECT relid::oid::bigint FROM anomaly.rule WHERE name = $1", &argument, 1, InvalidOid));
    if (!OidIsValid(table)) raise_no_rule(name);
    check_rule_table(table);
    wake_stream_of(table);
    return table;
}

}  // namespace

ANOMALY_FUNCTION(anomaly_create_rule) {
    const char* name = text_argument(fcinfo, 0, "name");
    if (PG_ARGISNULL(1)) {
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("relid must not be NULL")));
    }
    check_new_name("rule", name);
    const Oid table = PG_GETARG_OID(1);
    const char* function_name = text_argument(fcinfo, 2, "function");
    const CatalogArgument parameters = parameters_argument(fcinfo, 4);
    check_rule_table(table);
    const RuleFunction function = check_rule_function(function_name, table, !parameters.is_null);
    const CatalogArgument arguments[] = {
        argument_text(name),
        argument_oid(REGCLASSOID, table),
        argument_text(function.name),
        argument_text(function.result),
        argument_text(check_rule_evaluate(text_or_null(fcinfo, 3), table)),
        argument_text(current_search_path()),
        parameters,
    };
    if (catalog_execute("INSERT INTO anomaly.rule (name, relid, function, result, evaluate, "
                        "search_path, parameters) VALUES ($1, $2, $3, $4, $5, $6, $7) "
                        "ON CONFLICT (name) DO NOTHING",
                        arguments, lengthof(arguments), SPI_OK_INSERT) == 0) {
        ereport(ERROR,
                (errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("rule \"%s\" already exists", name),
                 errhint("Drop it with anomaly.drop_rule, or choose another name.")));
    }
    wake_stream_of(table);
    PG_RETURN_VOID();
}

ANOMALY_FUNCTION(anomaly_alter_rule) {
    const char* name = text_argument(fcinfo, 0, "name");
    const Oid table = open_rule(name);
    const CatalogArgument of_name = argument_text(name);
    CatalogArgument parameters = parameters_argument(fcinfo, 3);
    if (PG_ARGISNULL(3)) {
        const char* stored = catalog_select_text(
            "SELECT parameters::text FROM anomaly.rule WHERE name = $1", &of_name, 1);
        parameters.is_null = stored == NULL;
        if (stored != NULL) {
            parameters.value = DirectFunctionCall1(jsonb_in, CStringGetDatum(stored));
        }
    }
    const char* new_name = text_or_null(fcinfo, 1);
    const char* function_name = new_name;
    if (new_name == NULL) {
        function_name =
            catalog_select_text("SELECT function FROM anomaly.rule WHERE name = $1", &of_name, 1);
    }
    const RuleFunction function = check_rule_function(function_name, table, !parameters.is_null);
    const char* evaluate = text_or_null(fcinfo, 2);
    const CatalogArgument arguments[] = {
        of_name,
        argument_text(function.name),
        argument_text(function.result),
        argument_text(evaluate == NULL ? NULL : check_rule_evaluate(evaluate, table)),
        argument_text(new_name == NULL ? NULL : current_search_path()),
        parameters,
    };
    catalog_execute(
        "UPDATE anomaly.rule SET function = $2, result = $3, "
        "evaluate = coalesce($4, evaluate), search_path = coalesce($5, search_path), "
        "parameters = $6, failures = 0, paused_until = NULL WHERE name = $1",
        arguments, lengthof(arguments), SPI_OK_UPDATE);
    PG_RETURN_VOID();
}

ANOMALY_FUNCTION(anomaly_enable_rule) {
    const char* name = text_argument(fcinfo, 0, "name");
    open_rule(name);
    const CatalogArgument argument = argument_text(name);
    catalog_execute(
        "UPDATE anomaly.rule SET enabled = true, failures = 0, paused_until = NULL "
        "WHERE name = $1",
        &argument, 1, SPI_OK_UPDATE);
    PG_RETURN_VOID();
}

ANOMALY_FUNCTION(anomaly_disable_rule) {
    const char* name = text_argument(fcinfo, 0, "name");
    open_rule(name);
    const CatalogArgument argument = argument_text(name);
    catalog_execute("UPDATE anomaly.rule SET enabled = false WHERE name = $1", &argument, 1,
                    SPI_OK_UPDATE);
    PG_RETURN_VOID();
}

ANOMALY_FUNCTION(anomaly_drop_rule) {
    const char* name = text_argument(fcinfo, 0, "name");
    open_rule(name);
    const CatalogArgument argument = argument_text(name);
    catalog_execute("DELETE FROM anomaly.rule WHERE name = $1", &argument, 1, SPI_OK_DELETE);
    PG_RETURN_VOID();
}

}  // namespace anomaly::pg
