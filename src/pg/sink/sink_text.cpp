#include "pg/sink/sink_text.h"

namespace anomaly::pg {

namespace {

constexpr int64 kEpoch_us =
    static_cast<int64>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

bool needs_quotes(const CsvSpec* csv, const char* text) {
    if (strcmp(text, csv->null_text) == 0) return true;
    const char special[] = {csv->delimiter, csv->quote, '\n', '\r', '\0'};
    return strpbrk(text, special) != NULL;
}

int64 us_per_unit(TimeUnit unit) {
    switch (unit) {
        case TimeUnit::kSecond:
            return USECS_PER_SEC;
        case TimeUnit::kMillisecond:
            return 1000;
        default:
            return 1;
    }
}

void set_utf8(const char** data, int32* size, const JsonbValue* text) {
    char* copy = pnstrdup(text->val.string.val, text->val.string.len);
    *data = pg_server_to_any(copy, text->val.string.len, PG_UTF8);
    *size = static_cast<int32>(strlen(*data));
}

[[noreturn]] void invalid_headers() {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("headers of a message are an object of texts and nulls"),
                    errhint("Such as {\"trace\": \"4711\", \"origin\": null}.")));
}

}  // namespace

void append_csv_field(StringInfo out, const CsvSpec* csv, const char* text, bool rest) {
    if (rest) appendStringInfoChar(out, csv->delimiter);
    if (text == NULL) {
        appendStringInfoString(out, csv->null_text);
        return;
    }
    if (!needs_quotes(csv, text)) {
        appendStringInfoString(out, text);
        return;
    }
    appendStringInfoChar(out, csv->quote);
    for (const char* at = text; *at != '\0'; at++) {
        if (*at == csv->quote || *at == csv->escape) appendStringInfoChar(out, csv->escape);
        appendStringInfoChar(out, *at);
    }
    appendStringInfoChar(out, csv->quote);
}

void append_epoch(StringInfo out, TimestampTz time, TimeUnit unit) {
    int64 us = 0;
    if (TIMESTAMP_NOT_FINITE(time) || pg_add_s64_overflow(time, kEpoch_us, &us)) {
        ereport(ERROR,
                (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range"),
                 errdetail("It is to be written as a number.")));
    }
    const uint64 magnitude = us < 0 ? -static_cast<uint64>(us) : static_cast<uint64>(us);
    const uint64 per_unit = static_cast<uint64>(us_per_unit(unit));
    appendStringInfo(out, "%s" UINT64_FORMAT, us < 0 ? "-" : "", magnitude / per_unit);
    if (unit == TimeUnit::kNanosecond) appendStringInfoString(out, us == 0 ? "" : "000");
    if (magnitude % per_unit == 0) return;
    const int digits = unit == TimeUnit::kSecond ? 6 : 3;
    appendStringInfo(out, ".%0*d", digits, static_cast<int>(magnitude % per_unit));
}

bridge::SinkHeader* headers_of(Jsonb* object, int32* count) {
    if (!JB_ROOT_IS_OBJECT(object)) invalid_headers();
    bridge::SinkHeader* headers = static_cast<bridge::SinkHeader*>(
        palloc0(sizeof(bridge::SinkHeader) * (JB_ROOT_COUNT(object) + 1)));
    bridge::SinkHeader* header = headers;
    JsonbIterator* iterator = JsonbIteratorInit(&object->root);
    JsonbValue value;
    JsonbIteratorToken token;
    while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE) {
        if (token == WJB_KEY) {
            set_utf8(&header->name, &header->name_size, &value);
        } else if (token == WJB_VALUE) {
            if (value.type != jbvString && value.type != jbvNull) invalid_headers();
            if (value.type == jbvString) set_utf8(&header->value, &header->value_size, &value);
            header++;
        }
    }
    *count = static_cast<int32>(header - headers);
    return headers;
}

}  // namespace anomaly::pg
