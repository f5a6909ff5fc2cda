// Datums to core's cells and back.
#include "pg/value/cell_codec.h"

namespace anomaly::pg {

namespace {

// The int128 of two cells, as numeric.
Datum numeric_from_int128(uint64_t low, uint64_t high) {
    const int64 narrow = static_cast<int64>(low);
    if (high == (narrow < 0 ? ~uint64_t{0} : 0)) {
        return NumericGetDatum(int64_to_numeric(narrow));
    }
    // Through decimal digits: the server has no function for it that it shows to others.
    unsigned __int128 magnitude = (static_cast<unsigned __int128>(high) << 64) | low;
    const bool negative = static_cast<int64>(high) < 0;
    if (negative) magnitude = -magnitude;
    char digits[48];
    char* at = digits + sizeof(digits) - 1;
    *at = '\0';
    do {
        *--at = static_cast<char>('0' + static_cast<int>(magnitude % 10));
        magnitude /= 10;
    } while (magnitude != 0);
    if (negative) *--at = '-';
    return DirectFunctionCall3(numeric_in, CStringGetDatum(at), ObjectIdGetDatum(InvalidOid),
                               Int32GetDatum(-1));
}

// What fits 64 bits, as most do, without numeric's own reader of texts.
Datum numeric_from_text(const char* text, Size size) {
    constexpr int kDigitsMax = 18;
    int64 value = 0;
    int digits = 0;
    int fraction = -1;
    const bool negative = size > 0 && text[0] == '-';
    Size at = negative ? 1 : 0;
    for (; at < size && digits <= kDigitsMax; at++) {
        if (text[at] == '.') {
            fraction = 0;
            continue;
        }
        if (text[at] < '0' || text[at] > '9') break;
        value = value * 10 + (text[at] - '0');
        digits++;
        if (fraction >= 0) fraction++;
    }
    if (at < size || digits > kDigitsMax) {
        return DirectFunctionCall3(numeric_in, CStringGetDatum(pnstrdup(text, size)),
                                   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
    }
    if (negative) value = -value;
    return NumericGetDatum(fraction > 0 ? int64_div_fast_to_numeric(value, fraction)
                                        : int64_to_numeric(value));
}

Datum opaque_from_image(const CellType& type, const char* image, Size size) {
    if (type.by_value) {
        Datum value;
        Assert(size == sizeof(value));
        memcpy(&value, image, sizeof(value));
        return value;
    }
    char* copy = static_cast<char*>(palloc(size));
    memcpy(copy, image, size);
    return PointerGetDatum(copy);
}

const void* opaque_image(const CellType& type, Datum value, Size* size) {
    if (type.by_value) {
        Datum* copy = static_cast<Datum*>(palloc(sizeof(Datum)));
        *copy = value;
        *size = sizeof(Datum);
        return copy;
    }
    if (type.length == -1) {
        const struct varlena* flat = PG_DETOAST_DATUM(value);
        *size = VARSIZE(flat);
        return flat;
    }
    const char* bytes = DatumGetPointer(value);
    *size = type.length == -2 ? strlen(bytes) + 1 : static_cast<Size>(type.length);
    return bytes;
}

void set_bytes(uint64_t* cells, const void* bytes, Size size) {
    cells[0] = reinterpret_cast<uint64_t>(bytes);
    cells[1] = size;
}

void set_string(uint64_t* cells, const char* text) {
    set_bytes(cells, text, strlen(text));
}

char* string_of_bytes(const uint64_t* cells) {
    return pnstrdup(reinterpret_cast<const char*>(cells[0]), cells[1]);
}

uint64_t cell_of_int(int64 value) {
    return static_cast<uint64_t>(value);
}

}  // namespace

Type core_type(Oid type) {
    switch (type) {
        case BOOLOID:
            return Type::kBool;
        case INT2OID:
            return Type::kInt2;
        case INT4OID:
            return Type::kInt4;
        case INT8OID:
            return Type::kInt8;
        case FLOAT4OID:
            return Type::kFloat4;
        case FLOAT8OID:
            return Type::kFloat8;
        case TEXTOID:
        case VARCHAROID:
            return Type::kText;
        case BYTEAOID:
            return Type::kBytea;
        case UUIDOID:
            return Type::kUuid;
        case NUMERICOID:
            return Type::kNumeric;
        case JSONBOID:
            return Type::kJsonb;
        case TIMESTAMPTZOID:
            return Type::kTimestamptz;
        case TIMESTAMPOID:
            return Type::kTimestamp;
        case DATEOID:
            return Type::kDate;
        default:
            return Type::kOpaque;
    }
}

CellType cell_type(Oid type) {
    CellType result = {};
    result.type = core_type(type);
    result.oid = type;
    get_typlenbyval(type, &result.length, &result.by_value);
    return result;
}

Datum datum_from_cells(const CellType& type, const uint64_t* cells) {
    const int64 integer = static_cast<int64>(cells[0]);
    switch (type.type) {
        case Type::kBool:
            return BoolGetDatum(cells[0] != 0);
        case Type::kInt2:
            return Int16GetDatum(static_cast<int16>(integer));
        case Type::kInt4:
            return Int32GetDatum(static_cast<int32>(integer));
        case Type::kInt8:
            return Int64GetDatum(integer);
        case Type::kFloat4:
            return Float4GetDatum(static_cast<float4>(__builtin_bit_cast(double, cells[0])));
        case Type::kFloat8:
            return Float8GetDatum(__builtin_bit_cast(double, cells[0]));
        case Type::kText:
        case Type::kBytea:  // the same to look at
            return PointerGetDatum(cstring_to_text_with_len(reinterpret_cast<const char*>(cells[0]),
                                                            static_cast<int>(cells[1])));
        case Type::kUuid:
            return opaque_from_image(type, reinterpret_cast<const char*>(cells[0]), cells[1]);
        case Type::kNumeric:
            return numeric_from_text(reinterpret_cast<const char*>(cells[0]), cells[1]);
        case Type::kJsonb:
            return DirectFunctionCall1(jsonb_in, CStringGetDatum(string_of_bytes(cells)));
        case Type::kTimestamptz:
            return TimestampTzGetDatum(integer);
        case Type::kTimestamp:
            return TimestampGetDatum(integer);
        case Type::kDate:
            return DateADTGetDatum(static_cast<DateADT>(integer));
        case Type::kOpaque:
            return opaque_from_image(type, reinterpret_cast<const char*>(cells[0]), cells[1]);
        case Type::kInt128:
            return numeric_from_int128(cells[0], cells[1]);
        case Type::kInt128Ratio:
            return DirectFunctionCall2(
                numeric_div, numeric_from_int128(cells[0], cells[1]),
                NumericGetDatum(int64_to_numeric(static_cast<int64>(cells[2]))));
    }
    pg_unreachable();
}

void cells_from_datum(const CellType& type, Datum value, uint64_t* cells) {
    Size size = 0;
    switch (type.type) {
        case Type::kBool:
            cells[0] = DatumGetBool(value) ? 1 : 0;
            return;
        case Type::kInt2:
            cells[0] = cell_of_int(DatumGetInt16(value));
            return;
        case Type::kInt4:
            cells[0] = cell_of_int(DatumGetInt32(value));
            return;
        case Type::kInt8:
            cells[0] = cell_of_int(DatumGetInt64(value));
            return;
        case Type::kFloat4:
            cells[0] = __builtin_bit_cast(uint64_t, static_cast<double>(DatumGetFloat4(value)));
            return;
        case Type::kFloat8:
            cells[0] = __builtin_bit_cast(uint64_t, DatumGetFloat8(value));
            return;
        case Type::kUuid:
            set_bytes(cells, DatumGetUUIDP(value)->data, UUID_LEN);
            return;
        case Type::kNumeric:
            set_string(cells, DatumGetCString(DirectFunctionCall1(numeric_out, value)));
            return;
        case Type::kJsonb:
            set_string(cells, DatumGetCString(DirectFunctionCall1(jsonb_out, value)));
            return;
        case Type::kText:
        case Type::kBytea: {
            const text* flat = DatumGetTextPP(value);
            set_bytes(cells, VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat));
            return;
        }
        case Type::kTimestamptz:
        case Type::kTimestamp:
            cells[0] = cell_of_int(DatumGetTimestampTz(value));
            return;
        case Type::kDate:
            cells[0] = cell_of_int(DatumGetDateADT(value));
            return;
        case Type::kOpaque: {
            const void* image = opaque_image(type, value, &size);
            set_bytes(cells, image, size);
            return;
        }
        case Type::kInt128:
        case Type::kInt128Ratio:
            elog(ERROR, "a datum cannot become a cell of core type %d",
                 static_cast<int>(type.type));
    }
}

}  // namespace anomaly::pg
