// The option startup: where a table of a stream begins to read.
#include "pg/stream.h"

namespace anomaly::pg {

namespace {

[[noreturn]] void invalid_startup(const char* text) {
    ereport(ERROR,
            (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
             errmsg("invalid value for option \"startup\": \"%s\"", text),
             errhint("It is earliest, latest, a timestamp such as 2026-01-31 12:00:00+00, or the "
                     "first offset of each partition such as {\"0\": 12, \"1\": 5}.")));
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
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("startup at a time is not supported yet"),
                    errhint("Give the offsets: startup '{\"0\": 1200, \"1\": 1180}'.")));
}

}  // namespace anomaly::pg
