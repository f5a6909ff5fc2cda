// The options of streams and their columns. What is planned and not there yet is refused in words,
// never taken and ignored.
#include "pg/options.h"

#include "pg/contain.h"
#include "pg/near_words.h"
#include "pg/stream.h"

namespace anomaly::pg {

namespace {

[[noreturn]] void invalid_value(const char* name, const char* value, const char* hint) {
    ereport(ERROR,
            (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
             errmsg("invalid value for option \"%s\": \"%s\"", name, value), errhint("%s", hint)));
}

[[noreturn]] void not_supported(const char* name, const char* detail, const char* hint) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("option \"%s\" is not supported yet", name), errdetail("%s", detail),
                    errhint("%s", hint)));
}

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
    if (!contain(read_value, &reading, &containable, reason)) invalid_value(name, value, hint);
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
        invalid_value(
            "topic", value,
            "A topic's name has 1 to 249 letters, digits, dots, underscores and hyphens.");
    }
}

void check_format(const char* value) {
    if (strcmp(value, "json") == 0) return;
    if (strcmp(value, "csv") == 0 || strcmp(value, "raw") == 0) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("format \"%s\" is not supported yet", value),
                        errhint("Supported is \"json\".")));
    }
    invalid_value("format", value, "Supported is \"json\".");
}

// One step of a path; returns where it ends. The name is written to `out`, unescaped.
const char* parse_step(const char* text, const char* at, char* out) {
    if (*at != '.') invalid_value("path", text, "Write it as $.name or $.outer.\"inner name\".");
    at++;
    const char* start = at;
    if (*at == '"') {
        at++;
        while (*at != '"') {
            if (*at == '\\' && (at[1] == '"' || at[1] == '\\')) at++;
            if (*at == '\0') invalid_value("path", text, "A double quote is not closed.");
            *out++ = *at++;
        }
        at++;
    } else {
        while (*at != '\0' && strchr(".\"[]*?@$ ", *at) == NULL) *out++ = *at++;
        if (at == start) {
            invalid_value("path", text, "Write it as $.name or $.outer.\"inner name\".");
        }
    }
    *out = '\0';
    return at;
}

}  // namespace

const char* const kServerOptions[] = {"delivery", NULL};
const char* const kTableOptions[] = {"topic",        "format",     "event_time", "watermark_delay",
                                     "idle_timeout", "max_future", "startup",    NULL};
const char* const kColumnOptions[] = {"path", "metadata", NULL};

int64 parse_interval_option(const char* name, const char* value) {
    const Interval* interval = DatumGetIntervalP(DirectFunctionCall3(
        interval_in, CStringGetDatum(value), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
    int64 days_us = 0;
    int64 result = 0;
    if (interval->month != 0 || pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &days_us) ||
        pg_add_s64_overflow(days_us, interval->time, &result) || result < 0 ||
        result > PG_INT64_MAX / 4) {
        invalid_value(name, value, "It is an interval of at least zero, without months and years.");
    }
    return result;
}

const char* const* parse_path(const char* text, int32* count) {
    if (text[0] != '$' || text[1] == '\0') {
        invalid_value("path", text, "Write it as $.name or $.outer.\"inner name\".");
    }
    const Size size = strlen(text) + 1;
    const char** names = static_cast<const char**>(palloc(sizeof(char*) * size));
    *count = 0;
    const char* at = text + 1;
    while (*at != '\0') {
        char* name = static_cast<char*>(palloc(size));
        at = parse_step(text, at, name);
        names[(*count)++] = name;
    }
    return names;
}

Source parse_metadata(const char* text) {
    constexpr struct {
        const char* name;
        Source source;
    } kSources[] = {{"topic", Source::kTopic},
                    {"partition", Source::kPartition},
                    {"offset", Source::kOffset},
                    {"timestamp", Source::kTimestamp},
                    {"key", Source::kKey}};
    for (const auto& known : kSources) {
        if (strcmp(text, known.name) == 0) return known.source;
    }
    if (strcmp(text, "headers") == 0) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("metadata \"headers\" is not supported yet")));
    }
    static const char* const kNames[] = {"topic", "partition", "offset", "timestamp", "key", NULL};
    invalid_value("metadata", text, choice_hint(text, kNames));
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
        invalid_value(name, value, "It is transaction or plain.");
    }
    return true;
}

bool check_table_option(const char* name, const char* value) {
    if (strcmp(name, "timezone") == 0) {
        not_supported(name, "Timestamps without a time zone are read in the session's TimeZone.",
                      "Use the type timestamptz, and a zone in the messages.");
    }
    if (strcmp(name, "rows") == 0) {
        not_supported(name, "Each message is one row.", "Send one message for each row.");
    }
    if (strcmp(name, "topic") == 0) {
        check_topic(value);
    } else if (strcmp(name, "format") == 0) {
        check_format(value);
    } else if (strcmp(name, "startup") == 0) {
        check_startup(value);
    } else if (strcmp(name, "watermark_delay") == 0 || strcmp(name, "idle_timeout") == 0 ||
               strcmp(name, "max_future") == 0) {
        check_interval(name, value);
    } else {
        return strcmp(name, "event_time") == 0;  // its column is looked up when it is used
    }
    return true;
}

bool check_column_option(const char* name, const char* value) {
    if (strcmp(name, "unit") == 0) {
        not_supported(name, "Numeric times are numbers.",
                      "Add a generated column: "
                      "timestamptz GENERATED ALWAYS AS (to_timestamp(column / 1000.0)) STORED.");
    }
    if (strcmp(name, "path") == 0) {
        int32 count = 0;
        parse_path(value, &count);
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
