#include "pg/scan/import_columns.h"

namespace anomaly::pg {

namespace {

struct Columns {
    StringInfoData text;
    List* names;
    const char* event_time;  // NULL: none yet
    int event_time_depth;    // of its path
};

char* clipped(const char* name, const char* suffix) {
    const int room = NAMEDATALEN - 1 - static_cast<int>(strlen(suffix));
    const int size = pg_mbcliplen(name, static_cast<int>(strlen(name)), room);
    return psprintf("%.*s%s", size, name, suffix);
}

bool is_taken(const List* names, const char* name) {
    ListCell* cell;
    foreach (cell, names) {
        if (strcmp(static_cast<const char*>(lfirst(cell)), name) == 0) return true;
    }
    return false;
}

// A name that no other column has.
const char* new_name(Columns* columns, const char* wanted) {
    char* name = clipped(wanted, "");
    for (int number = 2; is_taken(columns->names, name); number++) {
        name = clipped(wanted, psprintf("_%d", number));
    }
    columns->names = lappend(columns->names, name);
    return name;
}

char* in_server_encoding(const char* text) {
    return pg_any_to_server(text, static_cast<int>(strlen(text)), PG_UTF8);
}

const char* joined_name(const bridge::GuessedColumn& column) {
    StringInfoData name;
    initStringInfo(&name);
    for (int32 i = 0; i < column.path_count; i++) {
        appendStringInfo(&name, "%s%s", i == 0 ? "" : "_", in_server_encoding(column.path[i]));
    }
    return name.data;
}

const char* path_of(const bridge::GuessedColumn& column) {
    StringInfoData path;
    initStringInfo(&path);
    appendStringInfoChar(&path, '$');
    for (int32 i = 0; i < column.path_count; i++) {
        const char* name = in_server_encoding(column.path[i]);
        appendStringInfoChar(&path, '.');
        if (strpbrk(name, ".\"[]*?@$ \\") == NULL) {
            appendStringInfoString(&path, name);
            continue;
        }
        appendStringInfoChar(&path, '"');
        for (const char* at = name; *at != '\0'; at++) {
            if (*at == '"' || *at == '\\') appendStringInfoChar(&path, '\\');
            appendStringInfoChar(&path, *at);
        }
        appendStringInfoChar(&path, '"');
    }
    return path.data;
}

void begin_column(Columns* columns, const char* name, const char* type) {
    appendStringInfo(&columns->text, "%s\n    %s %s", columns->text.len == 0 ? "" : ",",
                     quote_identifier(name), type);
}

// The outermost time that every message has, and of those the first.
void offer_event_time(Columns* columns, const char* name, const bridge::GuessedColumn& column) {
    if (!column.in_all) return;
    if (columns->event_time != NULL && columns->event_time_depth <= column.path_count) return;
    columns->event_time = name;
    columns->event_time_depth = column.path_count;
}

void add_column(Columns* columns, const bridge::GuessedColumn& column, bool not_null) {
    const char* name = new_name(columns, joined_name(column));
    begin_column(columns, name, column.type);
    const bool is_named_so =
        column.path_count == 1 && strcmp(in_server_encoding(column.path[0]), name) == 0;
    if (!is_named_so) {
        appendStringInfo(&columns->text, " OPTIONS (path %s)", quote_literal_cstr(path_of(column)));
    }
    if (not_null && column.in_all) appendStringInfoString(&columns->text, " NOT NULL");
    if (column.is_time) offer_event_time(columns, name, column);
    if (column.units_per_second == 0) return;
    const char* time = new_name(columns, psprintf("%s_time", name));
    begin_column(columns, time, "timestamp with time zone");
    const char* divisor = column.units_per_second == 1
                              ? ""
                              : psprintf(" / " INT64_FORMAT ".0", column.units_per_second);
    appendStringInfo(&columns->text, " GENERATED ALWAYS AS (to_timestamp(%s%s)) STORED",
                     quote_identifier(name), divisor);
    offer_event_time(columns, time, column);
}

const char* add_metadata(Columns* columns, const char* metadata, const char* type) {
    const char* name = new_name(columns, psprintf("kafka_%s", metadata));
    begin_column(columns, name, type);
    appendStringInfo(&columns->text, " OPTIONS (metadata '%s')", metadata);
    return name;
}

}  // namespace

const char* table_name(const char* topic) {
    return clipped(topic, "");
}

char* foreign_table_statement(const char* topic, const char* server,
                              std::span<const bridge::GuessedColumn> columns, bool not_null,
                              bool has_key) {
    Columns written = {};
    initStringInfo(&written.text);
    for (const bridge::GuessedColumn& column : columns) add_column(&written, column, not_null);
    if (has_key) add_metadata(&written, "key", "text");
    add_metadata(&written, "partition", "integer");
    add_metadata(&written, "offset", "bigint");
    const char* kafka_time = add_metadata(&written, "timestamp", "timestamp with time zone");
    const char* event_time = written.event_time == NULL ? kafka_time : written.event_time;
    return psprintf(
        "CREATE FOREIGN TABLE %s (%s\n) SERVER %s OPTIONS (topic %s, format 'json', "
        "event_time %s)",
        quote_identifier(table_name(topic)), written.text.data, quote_identifier(server),
        quote_literal_cstr(topic), quote_literal_cstr(event_time));
}

}  // namespace anomaly::pg
