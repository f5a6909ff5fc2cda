// By kind of type: text and its like as their bytes; arrays and rows piece by piece, since
// array_send and record_send write the oids of what they hold; everything else in the form that the
// type's send function makes.
#include "pg/value/value_codec.h"

namespace anomaly::pg {

namespace {

enum class Form : uint8 {
    kBytes,  // the bytes of a varlena
    kSend,
    kText,  // output and input function: the names behind reg* types, vectors
    kArray,
    kRow,
};

}  // namespace

struct ValueCodec {
    Form form;
    Oid type;
    int16 length;
    bool by_value;
    char alignment;
    FmgrInfo to_bytes;
    FmgrInfo from_bytes;
    Oid io_parameter;
    ValueCodec* element;   // kArray
    TupleDesc row;         // kRow
    ValueCodec** columns;  // kRow, NULL where a column was dropped
};

namespace {

// Types whose text is all there is, and whose send function would convert or change it.
bool is_plain_bytes(Oid type) {
    switch (type) {
        case TEXTOID:
        case VARCHAROID:
        case BPCHAROID:
        case BYTEAOID:
        case JSONOID:
        case XMLOID:
            return true;
        default:
            return false;
    }
}

// Their send functions write oids.
bool needs_text(Oid type) {
    switch (type) {
        case REGPROCOID:
        case REGPROCEDUREOID:
        case REGOPEROID:
        case REGOPERATOROID:
        case REGCLASSOID:
        case REGCOLLATIONOID:
        case REGTYPEOID:
        case REGROLEOID:
        case REGNAMESPACEOID:
        case REGCONFIGOID:
        case REGDICTIONARYOID:
        case INT2VECTOROID:
        case OIDVECTOROID:
            return true;
        default:
            return false;
    }
}

// What a range's send function sends of its bounds.
bool is_range_of_pieces(Oid type) {
    Oid range = type_is_multirange(type) ? get_multirange_range(type) : type;
    if (!type_is_range(range)) return false;
    const Oid subtype = getBaseType(get_range_subtype(range));
    return OidIsValid(get_element_type(subtype)) || type_is_rowtype(subtype) || needs_text(subtype);
}

bool set_functions(ValueCodec* codec) {
    Oid output, input;
    bool is_varlena;
    if (codec->form == Form::kText) {
        getTypeOutputInfo(codec->type, &output, &is_varlena);
        getTypeInputInfo(codec->type, &input, &codec->io_parameter);
    } else {
        HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(codec->type));
        if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for type %u", codec->type);
        Form_pg_type form = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
        output = form->typsend;
        input = form->typreceive;
        codec->io_parameter = getTypeIOParam(tuple);
        ReleaseSysCache(tuple);
    }
    if (!OidIsValid(output) || !OidIsValid(input)) return false;
    fmgr_info(output, &codec->to_bytes);
    fmgr_info(input, &codec->from_bytes);
    return true;
}

bool set_columns(ValueCodec* codec) {
    if (codec->type == RECORDOID) return false;
    TupleDesc shared = lookup_rowtype_tupdesc(codec->type, -1);
    codec->row = CreateTupleDescCopy(shared);
    ReleaseTupleDesc(shared);
    codec->columns = static_cast<ValueCodec**>(
        palloc0(sizeof(ValueCodec*) * static_cast<Size>(codec->row->natts + 1)));
    for (int i = 0; i < codec->row->natts; i++) {
        const Form_pg_attribute attribute = TupleDescAttr(codec->row, i);
        if (attribute->attisdropped) continue;
        codec->columns[i] = make_value_codec(attribute->atttypid);
        if (codec->columns[i] == NULL) return false;
    }
    return true;
}

// ---- arrays and rows ----

void encode_array(const ValueCodec* codec, Datum value, StringInfo out) {
    ArrayType* array = DatumGetArrayTypeP(value);
    ValueCodec* element = codec->element;
    append_varint(out, static_cast<uint64>(ARR_NDIM(array)));
    for (int d = 0; d < ARR_NDIM(array); d++) {
        append_varint(out, static_cast<uint64>(ARR_DIMS(array)[d]));
        append_varint(out, static_cast<uint32>(ARR_LBOUND(array)[d]));
    }
    Datum* values;
    bool* nulls;
    int count;
    deconstruct_array(array, ARR_ELEMTYPE(array), element->length, element->by_value,
                      element->alignment, &values, &nulls, &count);
    for (int i = 0; i < count; i++) encode_optional(element, values[i], nulls[i], out);
}

Datum decode_array(const ValueCodec* codec, StringInfo in) {
    ValueCodec* element = codec->element;
    const Oid element_type = get_element_type(codec->type);
    const int dimensions = static_cast<int>(take_varint(in));
    if (dimensions == 0) return PointerGetDatum(construct_empty_array(element_type));
    if (dimensions > MAXDIM) elog(ERROR, "kept array with %d dimensions", dimensions);
    int sizes[MAXDIM], lower_bounds[MAXDIM];
    for (int d = 0; d < dimensions; d++) {
        sizes[d] = static_cast<int>(take_varint(in));
        lower_bounds[d] = static_cast<int>(static_cast<uint32>(take_varint(in)));
    }
    const int count = ArrayGetNItems(dimensions, sizes);
    Datum* values = static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<Size>(count + 1)));
    bool* nulls = static_cast<bool*>(palloc(sizeof(bool) * static_cast<Size>(count + 1)));
    for (int i = 0; i < count; i++) values[i] = decode_optional(element, in, &nulls[i]);
    return PointerGetDatum(construct_md_array(values, nulls, dimensions, sizes, lower_bounds,
                                              element_type, element->length, element->by_value,
                                              element->alignment));
}

void encode_row(const ValueCodec* codec, Datum value, StringInfo out) {
    HeapTupleHeader header = DatumGetHeapTupleHeader(value);
    HeapTupleData tuple = {};
    tuple.t_len = HeapTupleHeaderGetDatumLength(header);
    tuple.t_data = header;
    const Size columns = static_cast<Size>(codec->row->natts + 1);
    Datum* values = static_cast<Datum*>(palloc(sizeof(Datum) * columns));
    bool* nulls = static_cast<bool*>(palloc(sizeof(bool) * columns));
    heap_deform_tuple(&tuple, codec->row, values, nulls);
    for (int i = 0; i < codec->row->natts; i++) {
        if (codec->columns[i] == NULL) continue;
        encode_optional(codec->columns[i], values[i], nulls[i], out);
    }
}

Datum decode_row(const ValueCodec* codec, StringInfo in) {
    const Size columns = static_cast<Size>(codec->row->natts + 1);
    Datum* values = static_cast<Datum*>(palloc0(sizeof(Datum) * columns));
    bool* nulls = static_cast<bool*>(palloc(sizeof(bool) * columns));
    for (int i = 0; i < codec->row->natts; i++) {
        nulls[i] = true;
        if (codec->columns[i] == NULL) continue;
        values[i] = decode_optional(codec->columns[i], in, &nulls[i]);
    }
    return heap_copy_tuple_as_datum(heap_form_tuple(codec->row, values, nulls), codec->row);
}

Datum decode_text(ValueCodec* codec, StringInfo in) {
    const uint64 size = take_varint(in);
    char* text = pnstrdup(take_bytes(in, size), size);
    return InputFunctionCall(&codec->from_bytes, text, codec->io_parameter, -1);
}

Datum decode_sent(ValueCodec* codec, StringInfo in) {
    const uint64 size = take_varint(in);
    // A copy with an end: receive functions may ask for one.
    StringInfoData bytes;
    initStringInfo(&bytes);
    appendBinaryStringInfo(&bytes, take_bytes(in, size), static_cast<int>(size));
    return ReceiveFunctionCall(&codec->from_bytes, &bytes, codec->io_parameter, -1);
}

void append_sized(StringInfo out, const char* data, Size size) {
    append_varint(out, size);
    appendBinaryStringInfo(out, data, static_cast<int>(size));
}

}  // namespace

ValueCodec* make_value_codec(Oid type) {
    check_stack_depth();
    type = getBaseType(type);
    ValueCodec* codec = static_cast<ValueCodec*>(palloc0(sizeof(ValueCodec)));
    codec->type = type;
    get_typlenbyvalalign(type, &codec->length, &codec->by_value, &codec->alignment);
    if (is_plain_bytes(type)) {
        codec->form = Form::kBytes;
        return codec;
    }
    if (type_is_rowtype(type)) {
        codec->form = Form::kRow;
        return set_columns(codec) ? codec : NULL;
    }
    const Oid element = get_element_type(type);
    if (OidIsValid(element)) {
        codec->form = Form::kArray;
        codec->element = make_value_codec(element);
        return codec->element != NULL ? codec : NULL;
    }
    if (get_typtype(type) == TYPTYPE_PSEUDO || is_range_of_pieces(type)) return NULL;
    codec->form = needs_text(type) ? Form::kText : Form::kSend;
    if (set_functions(codec)) return codec;
    codec->form = Form::kText;
    return set_functions(codec) ? codec : NULL;
}

void encode_value(ValueCodec* codec, Datum value, StringInfo out) {
    check_stack_depth();
    switch (codec->form) {
        case Form::kBytes: {
            const struct varlena* flat = PG_DETOAST_DATUM_PACKED(value);
            append_sized(out, VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat));
            return;
        }
        case Form::kSend: {
            const bytea* bytes = SendFunctionCall(&codec->to_bytes, value);
            append_sized(out, VARDATA(bytes), VARSIZE(bytes) - VARHDRSZ);
            return;
        }
        case Form::kText: {
            const char* text = OutputFunctionCall(&codec->to_bytes, value);
            append_sized(out, text, strlen(text));
            return;
        }
        case Form::kArray:
            encode_array(codec, value, out);
            return;
        case Form::kRow:
            encode_row(codec, value, out);
            return;
    }
}

Datum decode_value(ValueCodec* codec, StringInfo in) {
    check_stack_depth();
    switch (codec->form) {
        case Form::kBytes: {
            const uint64 size = take_varint(in);
            return PointerGetDatum(
                cstring_to_text_with_len(take_bytes(in, size), static_cast<int>(size)));
        }
        case Form::kSend:
            return decode_sent(codec, in);
        case Form::kText:
            return decode_text(codec, in);
        case Form::kArray:
            return decode_array(codec, in);
        case Form::kRow:
            return decode_row(codec, in);
    }
    pg_unreachable();
}

void encode_optional(ValueCodec* codec, Datum value, bool is_null, StringInfo out) {
    appendStringInfoChar(out, is_null ? '\1' : '\0');
    if (!is_null) encode_value(codec, value, out);
}

Datum decode_optional(ValueCodec* codec, StringInfo in, bool* is_null) {
    *is_null = *take_bytes(in, 1) != '\0';
    return *is_null ? Datum{0} : decode_value(codec, in);
}

void append_varint(StringInfo out, uint64 value) {
    for (; value >= 0x80; value >>= 7) {
        appendStringInfoChar(out, static_cast<char>(static_cast<uint8>(value | 0x80)));
    }
    appendStringInfoChar(out, static_cast<char>(static_cast<uint8>(value)));
}

uint64 take_varint(StringInfo in) {
    uint64 value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        const uint8 next = static_cast<uint8>(*take_bytes(in, 1));
        value |= static_cast<uint64>(next & 0x7f) << shift;
        if (next < 0x80) return value;
    }
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("kept value of an aggregate has no "
                                                            "end")));
}

const char* take_bytes(StringInfo in, uint64 size) {
    if (size > static_cast<uint64>(in->len - in->cursor)) {
        ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                        errmsg("kept value of an aggregate ends too early")));
    }
    const char* bytes = in->data + in->cursor;
    in->cursor += static_cast<int>(size);
    return bytes;
}

StringInfoData view_bytes(const char* data, uint64 size) {
    if (size > MaxAllocHugeSize || size > PG_INT32_MAX) {
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("an aggregate keeps more than 2 GB of values of one group")));
    }
    StringInfoData view = {};
    view.data = const_cast<char*>(data);
    view.len = static_cast<int>(size);
    view.maxlen = view.len;
    return view;
}

}  // namespace anomaly::pg
