// A field's value goes through jsonb_populate_record as the one field of a record of its own: of an
// object with the key "value", into a row type with the one column "value". A missing key is given
// as a JSON null, which means the same there and lets a domain have its say.
#include "pg/stream/message_judge.h"

#include "pg/value/epoch_time.h"

namespace anomaly::pg {

namespace {

constexpr char kKey[] = "value";

struct Field {
    HeapTuple empty;    // a row of the field's row type, all NULL
    FmgrInfo function;  // jsonb_populate_record, with its cache
    FmgrInfo input;     // of the type, for texts
    Oid input_param;
    int32 typmod;
};

}  // namespace

struct MessageJudge {
    const StreamDefinition* stream;
    Field* fields;  // by column
    Datum jsonpath;
    // The message at hand.
    bridge::RawMessage message;
    Jsonb* json;
    Jsonb* rows;  // an array, NULL: the message is the row
    int row_count;
    int row;
    const char* column;
};

namespace {

// ---- types ----

// Numeric times are read as numbers first.
Oid read_type(const StreamColumnSpec* spec, Form_pg_attribute attribute) {
    return spec->unit == TimeUnit::kNone ? attribute->atttypid : NUMERICOID;
}

void prepare_json_field(Oid type, Form_pg_attribute attribute, Field* field) {
    TupleDesc row = CreateTemplateTupleDesc(1);
    TupleDescInitEntry(row, 1, kKey, type, field->typmod, 0);
    if (type == attribute->atttypid) TupleDescInitEntryCollation(row, 1, attribute->attcollation);
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

void prepare_field(const StreamDefinition* stream, int c, Field* field) {
    const StreamColumnSpec* spec = &stream->spec.columns[c];
    Form_pg_attribute attribute = TupleDescAttr(stream->descriptor, c);
    const Oid type = read_type(spec, attribute);
    field->typmod = type == attribute->atttypid ? attribute->atttypmod : -1;
    if (stream->spec.format == Format::kJson) {
        prepare_json_field(type, attribute, field);
        return;
    }
    Oid input = InvalidOid;
    getTypeInputInfo(type, &input, &field->input_param);
    fmgr_info(input, &field->input);
}

// ---- JSON ----

Jsonb* parse_message(const bridge::RawMessage& message) {
    if (message.value == NULL) {
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("message is null")));
    }
    // Verified, converted if need be, and with an end; the bridge's bytes have none.
    char* text = pg_any_to_server(message.value, message.value_size, PG_UTF8);
    if (text == message.value) text = pnstrdup(message.value, message.value_size);
    return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

Jsonb* find_rows(const MessageJudge* judge) {
    const Datum variables = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
    return DatumGetJsonbP(DirectFunctionCall4(jsonb_path_query_array, JsonbPGetDatum(judge->json),
                                              judge->jsonpath, variables, BoolGetDatum(false)));
}

// Does a column want a field of the row (or of the message) and not the whole?
bool wants_object(const StreamSpec* stream, bool of_message) {
    for (int c = 0; c < stream->column_count; c++) {
        const StreamColumnSpec* column = &stream->columns[c];
        if (column->source == Source::kField && column->of_message == of_message &&
            column->path_count > 0) {
            return true;
        }
    }
    return false;
}

[[noreturn]] void not_an_object(const char* what) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s is not a JSON object", what)));
}

JsonbValue* whole_value(Jsonb* json) {
    JsonbValue* value = static_cast<JsonbValue*>(palloc0(sizeof(JsonbValue)));
    if (JB_ROOT_IS_SCALAR(json)) {
        return JsonbExtractScalar(&json->root, value) ? value : NULL;
    }
    value->type = jbvBinary;
    value->val.binary.data = &json->root;
    value->val.binary.len = static_cast<int>(VARSIZE_ANY_EXHDR(json));
    return value;
}

// NULL: there is no such field, or something on the way to it is not an object.
JsonbValue* find_field(JsonbValue* whole, const StreamColumnSpec* spec) {
    JsonbValue* value = whole;
    for (int32 i = 0; i < spec->path_count && value != NULL; i++) {
        if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data)) return NULL;
        const int length = static_cast<int>(strlen(spec->path[i]));
        value = getKeyJsonValueFromContainer(value->val.binary.data, spec->path[i], length, NULL);
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

Datum read_json(Field* field, JsonbValue* value, bool* is_null) {
    LOCAL_FCINFO(fcinfo, 2);
    InitFunctionCallInfoData(*fcinfo, &field->function, 2, InvalidOid, NULL, NULL);
    fcinfo->args[0].value = HeapTupleGetDatum(field->empty);
    fcinfo->args[0].isnull = false;
    fcinfo->args[1].value = JsonbPGetDatum(wrap_value(value));
    fcinfo->args[1].isnull = false;
    HeapTupleHeader row = DatumGetHeapTupleHeader(FunctionCallInvoke(fcinfo));
    return GetAttributeByNum(row, 1, is_null);
}

// ---- texts ----

char* server_text(const char* data, int size) {
    char* text = pg_any_to_server(data, size, PG_UTF8);
    return text == data ? pnstrdup(data, static_cast<Size>(size)) : text;
}

Datum read_text(Field* field, const bridge::FieldText& text, bool* is_null) {
    *is_null = text.data == NULL;
    char* string = *is_null ? NULL : server_text(text.data, text.size);
    // A domain has a say about NULL.
    return InputFunctionCall(&field->input, string, field->input_param, field->typmod);
}

// ---- a value ----

Datum finish_value(const StreamColumnSpec* spec, Form_pg_attribute attribute, Datum value,
                   bool is_null) {
    if (is_null && attribute->attnotnull) {
        ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                        errmsg("null value violates not-null constraint")));
    }
    if (is_null || spec->unit == TimeUnit::kNone) return value;
    return epoch_time(value, spec->unit, attribute->atttypid, attribute->atttypmod);
}

// Where the database has another encoding, core takes no text that is not ASCII.
void read_metadata(const MessageJudge* judge, int c, Datum* values, bool* nulls) {
    const bridge::RawMessage* message = &judge->message;
    if (GetDatabaseEncoding() == PG_UTF8) return;
    if (judge->stream->spec.columns[c].source == Source::kKey && message->key != NULL) {
        values[c] = CStringGetTextDatum(server_text(message->key, message->key_size));
        nulls[c] = false;
    }
    if (judge->stream->spec.columns[c].source == Source::kHeaders) {
        char* text = server_text(message->headers, message->headers_size);
        values[c] = DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
        nulls[c] = false;
    }
}

// read(c, &is_null) gives the value of column c as its field has it.
template <class Read>
void read_columns(MessageJudge* judge, int row, Datum* values, bool* nulls, Read read) {
    const StreamSpec* spec = &judge->stream->spec;
    judge->row = row;
    memset(nulls, true, static_cast<Size>(spec->column_count));
    for (int c = 0; c < spec->column_count; c++) {
        const StreamColumnSpec* column = &spec->columns[c];
        Form_pg_attribute attribute = TupleDescAttr(judge->stream->descriptor, c);
        judge->column = NameStr(attribute->attname);
        if (column->source != Source::kField) {
            read_metadata(judge, c, values, nulls);
            continue;
        }
        values[c] = read(c, &nulls[c]);
        values[c] = finish_value(column, attribute, values[c], nulls[c]);
    }
    judge->column = NULL;
}

}  // namespace

MessageJudge* judge_create(const StreamDefinition* stream) {
    MessageJudge* judge = static_cast<MessageJudge*>(palloc0(sizeof(MessageJudge)));
    const int count = stream->spec.column_count;
    judge->stream = stream;
    judge->fields = static_cast<Field*>(palloc0(sizeof(Field) * static_cast<Size>(count + 1)));
    for (int c = 0; c < count; c++) {
        if (stream->spec.columns[c].source != Source::kField) continue;
        prepare_field(stream, c, &judge->fields[c]);
    }
    if (stream->spec.has_rows) {
        judge->jsonpath = DirectFunctionCall1(jsonpath_in, CStringGetDatum(stream->rows_jsonpath));
    }
    return judge;
}

int judge_message(MessageJudge* judge, const bridge::RawMessage& message) {
    const StreamSpec* spec = &judge->stream->spec;
    judge->message = message;
    judge->column = NULL;
    judge->rows = NULL;
    judge->row_count = 1;
    judge->row = 0;
    judge->json = parse_message(message);
    if (!spec->has_rows) {
        if (wants_object(spec, false) && !JB_ROOT_IS_OBJECT(judge->json)) not_an_object("message");
        return 1;
    }
    judge->rows = find_rows(judge);
    judge->row_count = static_cast<int>(JB_ROOT_COUNT(judge->rows));
    return judge->row_count;
}

void judge_row(MessageJudge* judge, int row, Datum* values, bool* nulls) {
    const StreamSpec* spec = &judge->stream->spec;
    judge->row = row;
    JsonbValue* message = whole_value(judge->json);
    JsonbValue* whole = message;
    if (judge->rows != NULL) {
        whole = getIthJsonbValueFromContainer(&judge->rows->root, static_cast<uint32>(row));
        const bool is_object =
            whole->type == jbvBinary && JsonContainerIsObject(whole->val.binary.data);
        if (wants_object(spec, false) && !is_object) not_an_object("it");
    }
    read_columns(judge, row, values, nulls, [=](int c, bool* is_null) {
        const StreamColumnSpec* column = &spec->columns[c];
        JsonbValue* value = find_field(column->of_message ? message : whole, column);
        return read_json(&judge->fields[c], value, is_null);
    });
}

void judge_texts(MessageJudge* judge, const bridge::Ingest* ingest, int32 row, Datum* values,
                 bool* nulls) {
    judge->message = bridge::ingest_message(ingest, row);
    judge->row_count = 1;
    read_columns(judge, 0, values, nulls, [=](int c, bool* is_null) {
        return read_text(&judge->fields[c], bridge::ingest_field(ingest, row, c), is_null);
    });
}

const char* judge_place(const MessageJudge* judge) {
    const bool has_rows = judge->rows != NULL && judge->row_count > 0;
    if (!has_rows) {
        return judge->column == NULL ? NULL : psprintf("column \"%s\"", judge->column);
    }
    if (judge->column == NULL) return psprintf("row %d", judge->row + 1);
    return psprintf("row %d, column \"%s\"", judge->row + 1, judge->column);
}

}  // namespace anomaly::pg
