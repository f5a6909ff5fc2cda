// The options of streams and their columns.
#include "pg/stream/options.h"

#include "pg/server/contain.h"
#include "pg/server/near_words.h"
#include "pg/stream/format_options.h"
#include "pg/stream/path_option.h"
#include "pg/stream/stream.h"

namespace anomaly::pg {

namespace {

struct Reading {
    Oid input;
    const char* value;
};

void read_value(void* opaque) {
    const Reading* reading = static_cast<const Reading*>(opaque);
    OidInputFunctionCall(reading->input, pstrdup(reading->value), InvalidOid, -1);
}

// A type's input function has words of its own, which do not name the option.
void require_readable(const char* name, const char* value, Oid input, const char* hint) {
    Reading reading = {input, value};
    const bool containable = true;
    char reason[kReasonBytesMax];
    if (!contain(read_value, &reading, &containable, reason))
        invalid_option_value(name, value, hint);
}

void check_interval(const char* name, const char* value) {
    require_readable(name, value, F_INTERVAL_IN,
                     "It is an interval such as 10 seconds, 500 ms or 1 day.");
    parse_interval_option(name, value);
}

void check_startup(const char* value) {
    if (value[0] == '{') require_readable("startup", value, F_JSONB_IN, kStartupHint);
    if (value[0] >= '0' && value[0] <= '9') {
        require_readable("startup", value, F_TIMESTAMPTZ_IN, kStartupHint);
    }
    parse_startup(value);
}

void check_topic(const char* value) {
    constexpr size_t kNameBytesMax = 249;  // Kafka's own limit
    const size_t size = strlen(value);
    const bool dots = strcmp(value, ".") == 0 || strcmp(value, "..") == 0;
    const size_t legal = strspn(value,
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789._-");
    if (size == 0 || size > kNameBytesMax || legal != size || dots) {
        invalid_option_value(
            "topic", value,
            "A topic's name has 1 to 249 letters, digits, dots, underscores and hyphens.");
    }
}

}  // namespace

void invalid_option_value(const char* name, const char* value, const char* hint) {
    ereport(ERROR,
            (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
             errmsg("invalid value for option \"%s\": \"%s\"", name, value), errhint("%s", hint)));
}

const char* const kServerOptions[] = {"delivery", NULL};
const char* const kTableOptions[] = {"topic",        "format",     "event_time", "watermark_delay",
                                     "idle_timeout", "max_future", "startup",    "timezone",
                                     "rows",         "delimiter",  "quote",      "escape",
                                     "header",       "null",       "group_id",   NULL};
const char* const kColumnOptions[] = {"path", "metadata", "unit", NULL};

int64 parse_interval_option(const char* name, const char* value) {
    const Interval* interval = DatumGetIntervalP(DirectFunctionCall3(
        interval_in, CStringGetDatum(value), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
    int64 days_us = 0;
    int64 result = 0;
    if (interval->month != 0 || pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &days_us) ||
        pg_add_s64_overflow(days_us, interval->time, &result) || result < 0 ||
        result > PG_INT64_MAX / 4) {
        invalid_option_value(name, value,
                             "It is an interval of at least zero, without months and years.");
    }
    return result;
}

Source parse_metadata(const char* text) {
    constexpr struct {
        const char* name;
        Source source;
    } kSources[] = {{"topic", Source::kTopic},   {"partition", Source::kPartition},
                    {"offset", Source::kOffset}, {"timestamp", Source::kTimestamp},
                    {"key", Source::kKey},       {"headers", Source::kHeaders}};
    for (const auto& known : kSources) {
        if (strcmp(text, known.name) == 0) return known.source;
    }
    static const char* const kNames[] = {"topic", "partition", "offset", "timestamp",
                                         "key",   "headers",   NULL};
    invalid_option_value("metadata", text, choice_hint(text, kNames));
}

bool is_server_option(const char* name) {
    for (int i = 0; kServerOptions[i] != NULL; i++) {
        if (strcmp(kServerOptions[i], name) == 0) return true;
    }
    return false;
}

bool check_server_option(const char* name, const char* value) {
    if (strcmp(name, "delivery") != 0) return false;
    if (strcmp(value, "transaction") != 0 && strcmp(value, "plain") != 0) {
        invalid_option_value(name, value, "It is transaction or plain.");
    }
    return true;
}

bool check_table_option(const char* name, const char* value) {
    if (strcmp(name, "topic") == 0) {
        check_topic(value);
    } else if (strcmp(name, "startup") == 0) {
        check_startup(value);
    } else if (strcmp(name, "group_id") == 0) {
        if (value[0] == '\0') invalid_option_value(name, value, "A consumer group has a name.");
    } else if (strcmp(name, "watermark_delay") == 0 || strcmp(name, "idle_timeout") == 0 ||
               strcmp(name, "max_future") == 0) {
        check_interval(name, value);
    } else {
        // The event time's column is looked up when it is used.
        return strcmp(name, "event_time") == 0 || check_format_option(name, value);
    }
    return true;
}

bool check_column_option(const char* name, const char* value) {
    if (strcmp(name, "unit") == 0) {
        parse_unit(value);
        return true;
    }
    if (strcmp(name, "path") == 0) {
        parse_field_path(value);
        return true;
    }
    if (strcmp(name, "metadata") == 0) {
        parse_metadata(value);
        return true;
    }
    return false;
}

const char* find_option(const List* options, const char* name) {
    ListCell* cell;
    foreach (cell, options) {
        DefElem* option = lfirst_node(DefElem, cell);
        if (strcmp(option->defname, name) == 0) return defGetString(option);
    }
    return NULL;
}

}  // namespace anomaly::pg
