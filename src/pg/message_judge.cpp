// A field's value goes through jsonb_populate_record as the one field of a record of its own: of an
// object with the key "value", into a row type with the one column "value". A missing key is given
// as a JSON null, which means the same there and lets a domain have its say.
#include "pg/message_judge.h"

namespace anomaly::pg {

namespace {

constexpr char kKey[] = "value";

struct Field {
    HeapTuple empty;    // a row of the field's row type, all NULL
    FmgrInfo function;  // jsonb_populate_record, with its cache
};

}  // namespace

struct MessageJudge {
    const StreamDefinition* stream;
    Field* fields;  // by column
    const char* column;
};

namespace {

void prepare_field(Form_pg_attribute attribute, Field* field) {
    TupleDesc row = CreateTemplateTupleDesc(1);
    TupleDescInitEntry(row, 1, kKey, attribute->atttypid, attribute->atttypmod, 0);
    TupleDescInitEntryCollation(row, 1, attribute->attcollation);
    BlessTupleDesc(row);
    Datum value = 0;
    bool is_null = true;
    field->empty = heap_form_tuple(row, &value, &is_null);
    fmgr_info(F_JSONB_POPULATE_RECORD, &field->function);
    // The function finds its row type in the value; it only wants to see that it is a record.
    Const* base = makeConst(RECORDOID, row->tdtypmod, InvalidOid, -1, Datum{0}, true, false);
    Const* json = makeConst(JSONBOID, -1, InvalidOid, -1, Datum{0}, true, false);
    FuncExpr* call = makeFuncExpr(F_JSONB_POPULATE_RECORD, RECORDOID, list_make2(base, json),
                                  InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
    fmgr_info_set_expr(reinterpret_cast<Node*>(call), &field->function);
}

Jsonb* parse_message(const bridge::RawMessage& message) {
    if (message.value == NULL) {
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("message is null")));
    }
    // Verified, converted if need be, and with an end; the bridge's bytes have none.
    char* text = pg_any_to_server(message.value, message.value_size, PG_UTF8);
    if (text == message.value) text = pnstrdup(message.value, message.value_size);
    Jsonb* json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
    if (!JB_ROOT_IS_OBJECT(json)) {
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("message is not a JSON object")));
    }
    return json;
}

// NULL: the message has no such field, or something on the way to it is not an object.
JsonbValue* find_field(Jsonb* json, const StreamColumnSpec* spec) {
    JsonbContainer* container = &json->root;
    JsonbValue* value = NULL;
    for (int32 i = 0; i < spec->path_count; i++) {
        if (!JsonContainerIsObject(container)) return NULL;
        const int length = static_cast<int>(strlen(spec->path[i]));
        value = getKeyJsonValueFromContainer(container, spec->path[i], length, NULL);
        if (value == NULL || i == spec->path_count - 1) return value;
        if (value->type != jbvBinary) return NULL;
        container = value->val.binary.data;
    }
    return value;
}

Jsonb* wrap_value(JsonbValue* value) {
    JsonbParseState* state = NULL;
    JsonbValue null_value = {};
    null_value.type = jbvNull;
    JsonbValue key = {};
    key.type = jbvString;
    key.val.string.val = const_cast<char*>(kKey);
    key.val.string.len = static_cast<int>(strlen(kKey));
    pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
    pushJsonbValue(&state, WJB_KEY, &key);
    pushJsonbValue(&state, WJB_VALUE, value == NULL ? &null_value : value);
    return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

Datum judge_field(Field* field, JsonbValue* value, bool* is_null) {
    LOCAL_FCINFO(fcinfo, 2);
    InitFunctionCallInfoData(*fcinfo, &field->function, 2, InvalidOid, NULL, NULL);
    fcinfo->args[0].value = HeapTupleGetDatum(field->empty);
    fcinfo->args[0].isnull = false;
    fcinfo->args[1].value = JsonbPGetDatum(wrap_value(value));
    fcinfo->args[1].isnull = false;
    HeapTupleHeader row = DatumGetHeapTupleHeader(FunctionCallInvoke(fcinfo));
    return GetAttributeByNum(row, 1, is_null);
}

}  // namespace

MessageJudge* judge_create(const StreamDefinition* stream) {
    MessageJudge* judge = static_cast<MessageJudge*>(palloc0(sizeof(MessageJudge)));
    const int count = stream->spec.column_count;
    judge->stream = stream;
    judge->fields = static_cast<Field*>(palloc0(sizeof(Field) * static_cast<Size>(count + 1)));
    for (int c = 0; c < count; c++) {
        if (stream->spec.columns[c].source != Source::kField) continue;
        prepare_field(TupleDescAttr(stream->descriptor, c), &judge->fields[c]);
    }
    return judge;
}

void judge_message(MessageJudge* judge, const bridge::RawMessage& message, Datum* values,
                   bool* nulls) {
    const StreamSpec* spec = &judge->stream->spec;
    judge->column = NULL;
    Jsonb* json = parse_message(message);
    for (int c = 0; c < spec->column_count; c++) {
        if (spec->columns[c].source != Source::kField) continue;
        Form_pg_attribute attribute = TupleDescAttr(judge->stream->descriptor, c);
        judge->column = NameStr(attribute->attname);
        JsonbValue* value = find_field(json, &spec->columns[c]);
        values[c] = judge_field(&judge->fields[c], value, &nulls[c]);
        if (nulls[c] && attribute->attnotnull) {
            ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                            errmsg("null value violates not-null constraint")));
        }
    }
    judge->column = NULL;
}

const char* judge_column(const MessageJudge* judge) {
    return judge->column;
}

}  // namespace anomaly::pg
