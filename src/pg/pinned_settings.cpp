// Settings pinned at the creation of a continuous table.
#include "pg/pinned_settings.h"

namespace anomaly::pg {

Datum current_settings() {
    static const char* const kNames[] = {"TimeZone", "DateStyle", "IntervalStyle",
                                         "extra_float_digits"};
    StringInfoData json;
    initStringInfo(&json);
    for (const char* name : kNames) {
        appendStringInfoString(&json, json.len == 0 ? "{" : ", ");
        escape_json(&json, name);
        appendStringInfoString(&json, ": ");
        escape_json(&json, GetConfigOption(name, false, false));
    }
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
            set_config_option(name, text, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                              false);
        }
    }
    return nest_level;
}

}  // namespace anomaly::pg
