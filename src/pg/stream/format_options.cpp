#include "pg/stream/format_options.h"

#include "pg/server/near_words.h"
#include "pg/stream/options.h"
#include "pg/stream/path_option.h"
#include "pg/value/zone_spec.h"

namespace anomaly::pg {

namespace {

// What an option's value may be, by name.
template <class Value>
struct Choice {
    const char* name;
    Value value;
};

constexpr Choice<Format> kFormats[] = {
    {"json", Format::kJson}, {"csv", Format::kCsv}, {"raw", Format::kRaw}};
constexpr Choice<TimeUnit> kUnits[] = {{"s", TimeUnit::kSecond},
                                       {"ms", TimeUnit::kMillisecond},
                                       {"us", TimeUnit::kMicrosecond},
                                       {"ns", TimeUnit::kNanosecond}};

template <class Value, Size count>
Value choose(const Choice<Value> (&choices)[count], const char* name, const char* value) {
    const char* names[count + 1] = {};
    for (Size i = 0; i < count; i++) {
        if (strcmp(choices[i].name, value) == 0) return choices[i].value;
        names[i] = choices[i].name;
    }
    invalid_option_value(name, value, choice_hint(value, names));
}

Format parse_format(const char* value) {
    return choose(kFormats, "format", value);
}

char parse_csv_character(const char* name, const char* value) {
    if (strlen(value) != 1 || value[0] == '\n' || value[0] == '\r' || IS_HIGHBIT_SET(value[0])) {
        invalid_option_value(name, value,
                             "It is a single one-byte character, not the end of a line.");
    }
    return value[0];
}

bool parse_header(const char* value) {
    bool result = false;
    if (!parse_bool(value, &result)) invalid_option_value("header", value, "It is true or false.");
    return result;
}

const char* parse_null_text(const char* value) {
    if (strpbrk(value, "\r\n") != NULL) {
        invalid_option_value("null", value, "It has no ends of lines.");
    }
    return value;
}

const pg_tz* parse_zone(const char* value) {
    const pg_tz* zone = pg_tzset(value);
    if (zone == NULL || !pg_tz_acceptable(const_cast<pg_tz*>(zone))) {
        invalid_option_value("timezone", value,
                             "It is a name of pg_timezone_names, such as Europe/Berlin.");
    }
    return zone;
}

// Each of the options that say how a message is written, and the format it belongs to.
struct FormatOption {
    const char* name;
    void (*check)(const char* name, const char* value);
    const char* format;  // NULL: any
};

constexpr FormatOption kFormatOptions[] = {
    {"format", [](const char*, const char* value) { parse_format(value); }, NULL},
    {"timezone", [](const char*, const char* value) { parse_zone(value); }, NULL},
    {"rows", [](const char*, const char* value) { parse_rows_path(value); }, "json"},
    {"delimiter", [](const char* n, const char* value) { parse_csv_character(n, value); }, "csv"},
    {"quote", [](const char* n, const char* value) { parse_csv_character(n, value); }, "csv"},
    {"escape", [](const char* n, const char* value) { parse_csv_character(n, value); }, "csv"},
    {"header", [](const char*, const char* value) { parse_header(value); }, "csv"},
    {"null", [](const char*, const char* value) { parse_null_text(value); }, "csv"},
};

char csv_character(const List* options, const char* name, char otherwise) {
    const char* value = find_option(options, name);
    return value == NULL ? otherwise : parse_csv_character(name, value);
}

CsvSpec csv_spec(const List* options) {
    CsvSpec csv = {};
    csv.delimiter = csv_character(options, "delimiter", ',');
    csv.quote = csv_character(options, "quote", '"');
    csv.escape = csv_character(options, "escape", csv.quote);
    const char* header = find_option(options, "header");
    csv.has_header = header != NULL && parse_header(header);
    const char* null_text = find_option(options, "null");
    csv.null_text = null_text == NULL ? "" : pstrdup(parse_null_text(null_text));
    return csv;
}

Format format_of(const List* options) {
    const char* format = find_option(options, "format");
    return format == NULL ? Format::kJson : parse_format(format);
}

// What a message says does not depend on whose session reads it.
const char* reading_settings(const char* zone) {
    StringInfoData settings;
    initStringInfo(&settings);
    appendStringInfoString(&settings, "{\"TimeZone\": ");
    escape_json(&settings, zone);
    appendStringInfoString(&settings,
                           ", \"DateStyle\": \"ISO, MDY\", \"IntervalStyle\": \"postgres\"}");
    return settings.data;
}

}  // namespace

bool check_format_option(const char* name, const char* value) {
    for (const FormatOption& option : kFormatOptions) {
        if (strcmp(option.name, name) != 0) continue;
        option.check(name, value);
        return true;
    }
    return false;
}

void check_format_options(const List* options) {
    const Format format = format_of(options);
    for (const FormatOption& option : kFormatOptions) {
        if (option.format == NULL || find_option(options, option.name) == NULL) continue;
        if (parse_format(option.format) == format) continue;
        ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
                        errmsg("option \"%s\" is for format \"%s\"", option.name, option.format)));
    }
    const CsvSpec csv = csv_spec(options);
    if (format == Format::kCsv &&
        (csv.delimiter == csv.quote || strchr(csv.null_text, csv.delimiter) != NULL ||
         strchr(csv.null_text, csv.quote) != NULL)) {
        ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
                        errmsg("options delimiter, quote and null contradict each other"),
                        errhint("They are different characters, and null has neither of them.")));
    }
}

TimeUnit parse_unit(const char* value) {
    return choose(kUnits, "unit", value);
}

void load_format_options(const List* options, StreamSpec* spec, const char** settings,
                         const char** jsonpath) {
    check_format_options(options);
    spec->format = format_of(options);
    spec->csv = csv_spec(options);
    const char* rows = find_option(options, "rows");
    if (rows != NULL) {
        const RowsPath path = parse_rows_path(rows);
        spec->has_rows = true;
        spec->rows_path = path.names;
        spec->rows_path_count = path.count;
        spec->rows_are_native = path.is_simple;
        *jsonpath = path.jsonpath;
    }
    const char* zone = find_option(options, "timezone");
    spec->zone = zone_spec(zone == NULL ? pg_tzset("UTC") : parse_zone(zone));
    *settings = reading_settings(zone == NULL ? "UTC" : zone);
}

}  // namespace anomaly::pg
