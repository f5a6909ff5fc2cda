// Settings pinned at the creation of a continuous table.
#include "pg/server/pinned_settings.h"

namespace anomaly::pg {

namespace {

void set_until_end(const char* name, const char* value) {
    set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

}  // namespace

char* current_search_path() {
    StringInfoData path;
    initStringInfo(&path);
    List* schemas = fetch_search_path(false);
    ListCell* cell;
    foreach (cell, schemas) {
        const char* name = get_namespace_name(lfirst_oid(cell));
        if (name == NULL || isAnyTempNamespace(lfirst_oid(cell))) continue;
        appendStringInfo(&path, "%s, ", quote_identifier(name));
    }
    list_free(schemas);
    // Last, so that nobody's temporary table stands before what was meant.
    appendStringInfoString(&path, "pg_temp");
    return path.data;
}

Datum current_settings() {
    static const char* const kNames[] = {"TimeZone",           "DateStyle",    "IntervalStyle",
                                         "extra_float_digits", "bytea_output", "array_nulls",
                                         "lc_monetary",        "lc_numeric",   "lc_time",
                                         "xmlbinary",          "xmloption"};
    StringInfoData json;
    initStringInfo(&json);
    for (const char* name : kNames) {
        appendStringInfoString(&json, json.len == 0 ? "{" : ", ");
        escape_json(&json, name);
        appendStringInfoString(&json, ": ");
        escape_json(&json, GetConfigOption(name, false, false));
    }
    appendStringInfoString(&json, ", \"search_path\": ");
    escape_json(&json, current_search_path());
    appendStringInfoChar(&json, '}');
    return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

int apply_settings(const char* json) {
    const int nest_level = NewGUCNestLevel();
    const Datum pinned = DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
    JsonbIterator* iterator = JsonbIteratorInit(&DatumGetJsonbP(pinned)->root);
    JsonbValue value;
    char* name = NULL;
    JsonbIteratorToken token;
    while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE) {
        if (token != WJB_KEY && token != WJB_VALUE) continue;
        char* text = pnstrdup(value.val.string.val, value.val.string.len);
        if (token == WJB_KEY) {
            name = text;
        } else {
            set_until_end(name, text);
        }
    }
    return nest_level;
}

int apply_sql_writing_settings() {
    const int nest_level = apply_sql_reading_settings();
    set_until_end("search_path", "pg_catalog");
    set_until_end("DateStyle", "ISO, MDY");
    set_until_end("IntervalStyle", "postgres");
    set_until_end("extra_float_digits", "1");
    set_until_end("bytea_output", "hex");
    return nest_level;
}

int apply_sql_reading_settings() {
    const int nest_level = NewGUCNestLevel();
    set_until_end("standard_conforming_strings", "on");
    return nest_level;
}

}  // namespace anomaly::pg
