// A field of CSV and a raw message are a type's own text. A JSON message is fixed text with values
// in between: `{"a":` a `,"tags":{"host":` host `}}`. The fixed parts are made once.
#include "pg/sink/sink_row.h"

#include "pg/server/pinned_settings.h"
#include "pg/sink/json_text.h"
#include "pg/sink/sink_text.h"

namespace anomaly::pg {

namespace {

// What a message says does not depend on whose session writes it.
constexpr char kWriteSettings[] =
    "{\"TimeZone\": \"UTC\", \"DateStyle\": \"ISO, MDY\", \"IntervalStyle\": \"postgres\", "
    "\"extra_float_digits\": \"3\", \"bytea_output\": \"hex\", \"search_path\": \"pg_catalog\"}";

// A field of the message, in the message's order.
struct Field {
    const char* before;  // fixed text before it
    int column;
    JsonType type;
};

struct PathNode {
    const char* name;
    int column;  // -1: none ends here
    List* children;
};

}  // namespace

struct RowWriter {
    const StreamDefinition* stream;
    MemoryContext row_context;
    Field* fields;
    int field_count;
    const char* end;      // fixed text after the last field
    bool pins_settings;   // the text of some column depends on settings
    JsonType* key_types;  // by column, where it is the key
    bridge::SinkMessage message;
};

namespace {

const char* column_name(const RowWriter* writer, int column) {
    return NameStr(TupleDescAttr(writer->stream->descriptor, column)->attname);
}

// ---- the fixed text of a JSON message ----

PathNode* find_child(PathNode* parent, const char* name) {
    ListCell* cell;
    foreach (cell, parent->children) {
        PathNode* child = static_cast<PathNode*>(lfirst(cell));
        if (strcmp(child->name, name) == 0) return child;
    }
    PathNode* child = static_cast<PathNode*>(palloc0(sizeof(PathNode)));
    child->name = name;
    child->column = -1;
    parent->children = lappend(parent->children, child);
    return child;
}

[[noreturn]] void path_conflict(const RowWriter* writer, int column) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("cannot write to stream %s", writer->stream->name),
                    errdetail("Another column has the path of column \"%s\", or one inside of it.",
                              column_name(writer, column))));
}

void add_path(const RowWriter* writer, PathNode* root, int column) {
    const StreamColumnSpec* spec = &writer->stream->spec.columns[column];
    PathNode* node = root;
    for (int i = 0; i < spec->path_count; i++) {
        if (node->column >= 0) path_conflict(writer, column);
        node = find_child(node, spec->path[i]);
    }
    if (node->column >= 0 || node->children != NIL || node == root) path_conflict(writer, column);
    node->column = column;
}

// `text` is what has been written since the last field.
void add_fields(RowWriter* writer, const PathNode* node, StringInfo text) {
    if (node->column >= 0) {
        Field* field = &writer->fields[writer->field_count++];
        field->before = pstrdup(text->data);
        field->column = node->column;
        field->type = json_type(TupleDescAttr(writer->stream->descriptor, node->column)->atttypid);
        const bool is_time = field->type.form == JsonForm::kDateTime;
        if (!field->type.is_fixed && !is_time) writer->pins_settings = true;
        resetStringInfo(text);
        return;
    }
    appendStringInfoChar(text, '{');
    ListCell* cell;
    foreach (cell, node->children) {
        const PathNode* child = static_cast<const PathNode*>(lfirst(cell));
        if (foreach_current_index(cell) > 0) appendStringInfoChar(text, ',');
        escape_json(text, child->name);
        appendStringInfoChar(text, ':');
        add_fields(writer, child, text);
    }
    appendStringInfoChar(text, '}');
}

// What this writes must be what the stream reads.
[[noreturn]] void cannot_write(const RowWriter* writer, const char* why) {
    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
             errmsg("cannot write to stream %s", writer->stream->name), errdetail("%s", why)));
}

void lay_out_json(RowWriter* writer) {
    const StreamSpec* spec = &writer->stream->spec;
    PathNode root = {NULL, -1, NIL};
    for (int c = 0; c < spec->column_count; c++) {
        if (spec->columns[c].source == Source::kField) add_path(writer, &root, c);
    }
    StringInfoData text;
    initStringInfo(&text);
    add_fields(writer, &root, &text);
    writer->end = text.data;
}

// ---- the fields of CSV, the one of raw messages ----

void lay_out_fields(RowWriter* writer) {
    const StreamSpec* spec = &writer->stream->spec;
    for (int c = 0; c < spec->column_count; c++) {
        if (spec->columns[c].source != Source::kField) continue;
        Field* field = &writer->fields[writer->field_count++];
        field->column = c;
        field->type = json_type(TupleDescAttr(writer->stream->descriptor, c)->atttypid);
        if (!field->type.is_fixed) writer->pins_settings = true;
    }
    if (spec->format == Format::kRaw && writer->field_count > 1) {
        cannot_write(writer, "A raw message is one value, and it has several columns.");
    }
}

// ---- a row ----

void check_not_null(const RowWriter* writer, int column, bool is_null) {
    if (!is_null || !TupleDescAttr(writer->stream->descriptor, column)->attnotnull) return;
    ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                    errmsg("null value in column \"%s\" of stream %s violates not-null constraint",
                           column_name(writer, column), writer->stream->name)));
}

// The bytes in UTF-8, as messages are.
void set_utf8(const char** data, int32* size, char* text, int length) {
    char* converted = pg_server_to_any(text, length, PG_UTF8);
    *data = converted;
    *size = converted == text ? length : static_cast<int32>(strlen(converted));
}

// A timestamp of a column with option unit, which counts from 1970 in UTC.
void append_unit(StringInfo out, const RowWriter* writer, int column, Datum value) {
    TimestampTz time = DatumGetTimestampTz(value);
    if (TupleDescAttr(writer->stream->descriptor, column)->atttypid == TIMESTAMPOID &&
        !TIMESTAMP_NOT_FINITE(time)) {
        const int nest_level = apply_settings(writer->stream->settings);
        time = DatumGetTimestampTz(DirectFunctionCall1(timestamp_timestamptz, value));
        AtEOXact_GUC(true, nest_level);
    }
    append_epoch(out, time, writer->stream->spec.columns[column].unit);
}

bool has_unit(const RowWriter* writer, int column) {
    return writer->stream->spec.columns[column].unit != TimeUnit::kNone;
}

void write_json(RowWriter* writer, const Datum* values, const bool* nulls) {
    StringInfoData text;
    initStringInfo(&text);
    for (int i = 0; i < writer->field_count; i++) {
        Field* field = &writer->fields[i];
        appendStringInfoString(&text, field->before);
        if (nulls[field->column]) {
            appendStringInfoString(&text, "null");
        } else if (has_unit(writer, field->column)) {
            append_unit(&text, writer, field->column, values[field->column]);
        } else {
            append_json(&text, &field->type, values[field->column]);
        }
    }
    appendStringInfoString(&text, writer->end);
    set_utf8(&writer->message.value, &writer->message.value_size, text.data, text.len);
}

// NULL: a null.
const char* text_of(const RowWriter* writer, Field* field, const Datum* values, const bool* nulls) {
    const int c = field->column;
    if (nulls[c]) return NULL;
    if (!has_unit(writer, c)) return OutputFunctionCall(&field->type.output, values[c]);
    StringInfoData number;
    initStringInfo(&number);
    append_unit(&number, writer, c, values[c]);
    return number.data;
}

void write_csv(RowWriter* writer, const Datum* values, const bool* nulls) {
    const CsvSpec* csv = &writer->stream->spec.csv;
    StringInfoData text;
    initStringInfo(&text);
    for (int i = 0; csv->has_header && i < writer->field_count; i++) {
        append_csv_field(&text, csv, column_name(writer, writer->fields[i].column), i > 0);
    }
    if (csv->has_header) appendStringInfoChar(&text, '\n');
    const int start = text.len;
    for (int i = 0; i < writer->field_count; i++) {
        append_csv_field(&text, csv, text_of(writer, &writer->fields[i], values, nulls), i > 0);
    }
    if (text.len == start) cannot_write(writer, "Its message would be empty, which is no row.");
    set_utf8(&writer->message.value, &writer->message.value_size, text.data, text.len);
}

// A null message is a tombstone.
void write_raw(RowWriter* writer, const Datum* values, const bool* nulls) {
    Field* field = &writer->fields[0];
    if (writer->field_count == 0 || nulls[field->column]) return;
    if (field->type.type == BYTEAOID) {
        bytea* bytes = DatumGetByteaPP(values[field->column]);
        writer->message.value = VARDATA_ANY(bytes);
        writer->message.value_size = static_cast<int32>(VARSIZE_ANY_EXHDR(bytes));
        return;
    }
    char* text = OutputFunctionCall(&field->type.output, values[field->column]);
    set_utf8(&writer->message.value, &writer->message.value_size, text,
             static_cast<int>(strlen(text)));
}

void write_fields(RowWriter* writer, const Datum* values, const bool* nulls) {
    for (int i = 0; i < writer->field_count; i++) {
        check_not_null(writer, writer->fields[i].column, nulls[writer->fields[i].column]);
    }
    switch (writer->stream->spec.format) {
        case Format::kJson:
            write_json(writer, values, nulls);
            return;
        case Format::kCsv:
            write_csv(writer, values, nulls);
            return;
        case Format::kRaw:
            write_raw(writer, values, nulls);
            return;
    }
}

[[noreturn]] void not_writable(const RowWriter* writer, int column, const char* why) {
    ereport(ERROR, (errcode(ERRCODE_GENERATED_ALWAYS),
                    errmsg("cannot write column \"%s\" of stream %s", column_name(writer, column),
                           writer->stream->name),
                    errdetail("%s", why), errhint("Leave it out, or give NULL.")));
}

int64 kafka_time_ms(const RowWriter* writer, int column, TimestampTz time) {
    constexpr int64 kEpoch_us =
        static_cast<int64>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
    if (TIMESTAMP_NOT_FINITE(time) || time < 1000 - kEpoch_us) {
        not_writable(writer, column, "A message's timestamp is finite and after 1970 began.");
    }
    return (time + kEpoch_us) / 1000;
}

void write_metadata(RowWriter* writer, int column, Datum value) {
    bridge::SinkMessage* message = &writer->message;
    switch (writer->stream->spec.columns[column].source) {
        case Source::kKey: {
            JsonType* type = &writer->key_types[column];
            char* text = OutputFunctionCall(&type->output, value);
            set_utf8(&message->key, &message->key_size, text, static_cast<int>(strlen(text)));
            return;
        }
        case Source::kPartition:
            message->partition = DatumGetInt32(value);
            if (message->partition >= 0) return;
            not_writable(writer, column, "A partition's number is not negative.");
        case Source::kTimestamp:
            message->timestamp_ms = kafka_time_ms(writer, column, DatumGetTimestampTz(value));
            return;
        case Source::kTopic:
            if (strcmp(TextDatumGetCString(value), message->topic) == 0) return;
            not_writable(writer, column, "The topic is the stream's.");
        case Source::kHeaders:
            message->headers = headers_of(DatumGetJsonbP(value), &message->header_count);
            return;
        case Source::kOffset:
            not_writable(writer, column, "The broker gives a message its offset.");
        case Source::kField:
        case Source::kGenerated:
            return;
    }
}

void write_row(RowWriter* writer, const Datum* values, const bool* nulls) {
    const StreamSpec* spec = &writer->stream->spec;
    writer->message = {};
    writer->message.topic = spec->topic;
    writer->message.partition = -1;
    for (int c = 0; c < spec->column_count; c++) {
        const Source source = spec->columns[c].source;
        if (source == Source::kField || source == Source::kGenerated) continue;
        if (source == Source::kKey) check_not_null(writer, c, nulls[c]);
        if (!nulls[c]) write_metadata(writer, c, values[c]);
    }
    write_fields(writer, values, nulls);
}

}  // namespace

RowWriter* row_writer_create(const StreamDefinition* stream) {
    RowWriter* writer = static_cast<RowWriter*>(palloc0(sizeof(RowWriter)));
    const Size columns = static_cast<Size>(stream->spec.column_count) + 1;
    writer->stream = stream;
    writer->row_context =
        AllocSetContextCreate(CurrentMemoryContext, "anomaly sink row", ALLOCSET_DEFAULT_SIZES);
    writer->fields = static_cast<Field*>(palloc0(sizeof(Field) * columns));
    writer->key_types = static_cast<JsonType*>(palloc0(sizeof(JsonType) * columns));
    for (int c = 0; c < stream->spec.column_count; c++) {
        if (stream->spec.columns[c].source != Source::kKey) continue;
        writer->key_types[c] = json_type(TupleDescAttr(stream->descriptor, c)->atttypid);
    }
    if (stream->spec.has_rows) cannot_write(writer, "Its messages hold many rows each.");
    if (stream->spec.format == Format::kJson) {
        lay_out_json(writer);
    } else {
        lay_out_fields(writer);
    }
    return writer;
}

const bridge::SinkMessage* row_writer_message(RowWriter* writer, const Datum* values,
                                              const bool* nulls) {
    MemoryContextReset(writer->row_context);
    const MemoryContext caller = MemoryContextSwitchTo(writer->row_context);
    const bool pins = writer->pins_settings || extra_float_digits < 1;
    const int nest_level = pins ? apply_settings(kWriteSettings) : 0;
    write_row(writer, values, nulls);
    if (pins) AtEOXact_GUC(true, nest_level);
    MemoryContextSwitchTo(caller);
    return &writer->message;
}

}  // namespace anomaly::pg
