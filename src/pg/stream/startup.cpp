// The option startup: where a table of a stream begins to read.
#include "pg/stream/options.h"
#include "pg/stream/stream.h"

namespace anomaly::pg {

namespace {

[[noreturn]] void invalid_startup(const char* text) {
    invalid_option_value("startup", text, kStartupHint);
}

bool is_number(const char* text, int size) {
    for (int i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
    }
    return size > 0 && size <= 9;
}

int64 offset_of(const char* text, const JsonbValue* value) {
    if (value->type != jbvNumeric) invalid_startup(text);
    const Datum number = NumericGetDatum(value->val.numeric);
    const int64 offset = DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
    const Datum back = NumericGetDatum(int64_to_numeric(offset));
    if (offset < 0 || !DatumGetBool(DirectFunctionCall2(numeric_eq, number, back))) {
        invalid_startup(text);
    }
    return offset;
}

Startup parse_offsets(const char* text) {
    Jsonb* json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
    Startup startup = {};
    startup.kind = StartupKind::kOffsets;
    PartitionProgress* partitions = static_cast<PartitionProgress*>(
        palloc0(sizeof(PartitionProgress) * (JB_ROOT_COUNT(json) + 1)));
    JsonbIterator* iterator = JsonbIteratorInit(&json->root);
    JsonbValue value;
    PartitionProgress* partition = NULL;
    for (;;) {
        const JsonbIteratorToken token = JsonbIteratorNext(&iterator, &value, true);
        if (token == WJB_DONE) break;
        if (token == WJB_KEY) {
            if (!is_number(value.val.string.val, value.val.string.len)) invalid_startup(text);
            partition = &partitions[startup.partition_count++];
            partition->partition =
                pg_strtoint32(pnstrdup(value.val.string.val, value.val.string.len));
        } else if (token == WJB_VALUE) {
            partition->next_offset = offset_of(text, &value);
            partition->last_offset = -1;
            partition->max_event_time = kNoTime;
        }
    }
    startup.partitions = partitions;
    return startup;
}

// Kafka's timestamps are whole milliseconds: the first that is not before the time.
int64 parse_time(const char* text) {
    constexpr int64 kEpochMs =
        static_cast<int64>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;
    const TimestampTz time = DatumGetTimestampTz(DirectFunctionCall3(
        timestamptz_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
    if (TIMESTAMP_NOT_FINITE(time)) invalid_startup(text);
    return (time + (time > 0 ? 999 : 0)) / 1000 + kEpochMs;
}

}  // namespace

Startup parse_startup(const char* text) {
    Startup startup = {};
    if (strcmp(text, "earliest") == 0) {
        startup.kind = StartupKind::kEarliest;
        return startup;
    }
    if (strcmp(text, "latest") == 0) {
        startup.kind = StartupKind::kLatest;
        return startup;
    }
    if (text[0] == '{') return parse_offsets(text);
    if (text[0] < '0' || text[0] > '9') invalid_startup(text);
    startup.kind = StartupKind::kTime;
    startup.from_ms = parse_time(text);
    return startup;
}

}  // namespace anomaly::pg
