// The forms are those of PostgreSQL's to_json, but for types that an extension or a user has made:
// a cast to json of theirs may be one that their input function does not read. A string always is
// read by it.
#include "pg/sink/json_text.h"

namespace anomaly::pg {

namespace {

bool is_plain(Oid type);

bool is_plain_row(Oid type) {
    const TupleDesc descriptor = lookup_rowtype_tupdesc(type, -1);
    bool plain = true;
    for (int i = 0; i < descriptor->natts && plain; i++) {
        const Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
        plain = attribute->attisdropped || is_plain(attribute->atttypid);
    }
    ReleaseTupleDesc(descriptor);
    return plain;
}

// Does to_json give what is read back as the same?
bool is_plain(Oid type) {
    check_stack_depth();
    const Oid base = getBaseType(type);
    const Oid element = get_base_element_type(base);
    if (OidIsValid(element)) return is_plain(element);
    if (type_is_rowtype(base)) return base != RECORDOID && is_plain_row(base);
    return base < FirstNormalObjectId || get_typtype(base) == TYPTYPE_ENUM;
}

JsonForm form_of(Oid type) {
    switch (type) {
        case BOOLOID:
        case INT2OID:
        case INT4OID:
        case INT8OID:
        case FLOAT4OID:
        case FLOAT8OID:
        case NUMERICOID:
            return JsonForm::kBare;
        case JSONOID:
        case JSONBOID:
            return JsonForm::kJson;
        case DATEOID:
        case TIMESTAMPOID:
        case TIMESTAMPTZOID:
            return JsonForm::kDateTime;
        default:
            break;
    }
    if (!is_plain(type)) return JsonForm::kText;
    if (OidIsValid(get_base_element_type(type))) return JsonForm::kArray;
    return type_is_rowtype(type) ? JsonForm::kRow : JsonForm::kText;
}

bool is_fixed_text(Oid type) {
    switch (type) {
        case TEXTOID:
        case VARCHAROID:
        case BPCHAROID:
        case UUIDOID:
            return true;
        default: {
            const JsonForm form = form_of(type);
            return form == JsonForm::kBare || form == JsonForm::kJson;
        }
    }
}

// to_json knows no lower bounds.
bool has_plain_bounds(Datum value) {
    const AnyArrayType* array = DatumGetAnyArrayP(value);
    for (int i = 0; i < AARR_NDIM(array); i++) {
        if (AARR_LBOUND(array)[i] != 1) return false;
    }
    return true;
}

void append_text_datum(StringInfo out, Datum value) {
    const text* bytes = DatumGetTextPP(value);
    appendBinaryStringInfo(out, VARDATA_ANY(bytes), static_cast<int>(VARSIZE_ANY_EXHDR(bytes)));
}

void append_bare(StringInfo out, Oid type, const char* text) {
    if (type == BOOLOID) {
        appendStringInfoString(out, text[0] == 't' ? "true" : "false");
    } else if (IsValidJsonNumber(text, static_cast<int>(strlen(text)))) {
        appendStringInfoString(out, text);
    } else {
        escape_json(out, text);
    }
}

}  // namespace

JsonType json_type(Oid type) {
    JsonType result = {};
    result.type = getBaseType(type);
    result.form = form_of(result.type);
    result.is_fixed = is_fixed_text(result.type);
    Oid function = InvalidOid;
    bool is_varlena = false;
    getTypeOutputInfo(type, &function, &is_varlena);
    fmgr_info(function, &result.output);
    return result;
}

void append_json(StringInfo out, JsonType* type, Datum value) {
    switch (type->form) {
        case JsonForm::kBare:
            append_bare(out, type->type, OutputFunctionCall(&type->output, value));
            return;
        case JsonForm::kJson:
            appendStringInfoString(out, OutputFunctionCall(&type->output, value));
            return;
        case JsonForm::kDateTime: {
            char text[MAXDATELEN + 1];
            JsonEncodeDateTime(text, value, type->type, NULL);
            appendStringInfo(out, "\"%s\"", text);
            return;
        }
        case JsonForm::kArray:
            if (!has_plain_bounds(value)) break;
            append_text_datum(out, DirectFunctionCall1(array_to_json, value));
            return;
        case JsonForm::kRow:
            append_text_datum(out, DirectFunctionCall1(row_to_json, value));
            return;
        case JsonForm::kText:
            break;
    }
    escape_json(out, OutputFunctionCall(&type->output, value));
}

}  // namespace anomaly::pg
