// Reads a stream's definition from the catalogs.
#include "pg/stream/stream.h"

#include "pg/compile/compile.h"
#include "pg/stream/format_options.h"
#include "pg/stream/options.h"
#include "pg/stream/path_option.h"
#include "pg/stream/server_options.h"

namespace anomaly::pg {

namespace {

struct Columns {
    StreamColumnSpec* specs;
    CellType* types;
    Node** generated;
    bool* used;
};

// Type modifiers of numeric, as numeric.c packs them.
int32 numeric_typmod_precision(int32 typmod) {
    return ((typmod - static_cast<int32>(VARHDRSZ)) >> 16) & 0xffff;
}
int32 numeric_typmod_scale(int32 typmod) {
    return (((typmod - static_cast<int32>(VARHDRSZ)) & 0x7ff) ^ 1024) - 1024;
}

template <class T>
T* palloc_array_of(int count) {
    return static_cast<T*>(palloc0(sizeof(T) * static_cast<Size>(count + 1)));
}

[[noreturn]] void column_error(const Relation relation, Form_pg_attribute attribute,
                               const char* what) {
    ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
                    errmsg("column \"%s\" of stream \"%s\" %s", NameStr(attribute->attname),
                           RelationGetRelationName(relation), what)));
}

Oid metadata_type(Source source) {
    switch (source) {
        case Source::kPartition:
            return INT4OID;
        case Source::kOffset:
            return INT8OID;
        case Source::kTimestamp:
            return TIMESTAMPTZOID;
        case Source::kHeaders:
            return JSONBOID;
        default:  // kTopic, kKey
            return TEXTOID;
    }
}

void load_metadata(const Relation relation, Form_pg_attribute attribute, const char* metadata,
                   StreamColumnSpec* spec) {
    spec->source = parse_metadata(metadata);
    if (attribute->atttypid == metadata_type(spec->source) && attribute->atttypmod < 0) return;
    column_error(relation, attribute,
                 psprintf("must be of type %s: it holds the message's %s",
                          format_type_be(metadata_type(spec->source)), metadata));
}

void load_unit(const Relation relation, Form_pg_attribute attribute, const char* unit,
               StreamColumnSpec* spec) {
    spec->unit = parse_unit(unit);
    if (attribute->atttypid == TIMESTAMPTZOID || attribute->atttypid == TIMESTAMPOID) return;
    column_error(relation, attribute,
                 "has option unit and must be of type timestamp with or without time zone");
}

void load_path(const Relation relation, Form_pg_attribute attribute, const char* text,
               const StreamSpec* stream, StreamColumnSpec* spec) {
    if (stream->format != Format::kJson) {
        column_error(relation, attribute, "has option path, which is for format \"json\"");
    }
    const FieldPath path = parse_field_path(text);
    if (path.of_row && !stream->has_rows) {
        column_error(relation, attribute, "has a path from a row on, but there is no option rows");
    }
    spec->path = path.names;
    spec->path_count = path.count;
    spec->of_message = stream->has_rows && !path.of_row;
}

void load_type_modifier(int32 typmod, StreamColumnSpec* spec) {
    if (typmod < 0) return;
    switch (spec->type) {
        case Type::kNumeric:
            spec->precision = numeric_typmod_precision(typmod);
            spec->scale = numeric_typmod_scale(typmod);
            break;
        case Type::kText:
            spec->precision = typmod - static_cast<int32>(VARHDRSZ);
            break;
        default:  // of timestamps
            spec->precision = typmod;
            break;
    }
}

void load_field(const Relation relation, Form_pg_attribute attribute, const StreamSpec* stream,
                StreamColumnSpec* spec) {
    List* options = GetForeignColumnOptions(RelationGetRelid(relation), attribute->attnum);
    const char* metadata = find_option(options, "metadata");
    const char* path = find_option(options, "path");
    const char* unit = find_option(options, "unit");
    if (metadata != NULL) {
        load_metadata(relation, attribute, metadata, spec);
        return;
    }
    spec->source = Source::kField;
    load_type_modifier(attribute->atttypmod, spec);
    if (unit != NULL) load_unit(relation, attribute, unit, spec);
    // Whether NULL is a value of a domain is the domain's to say: core asks about each NULL.
    if (DomainHasConstraints(attribute->atttypid)) spec->not_null = true;
    if (path != NULL) {
        load_path(relation, attribute, path, stream, spec);
        return;
    }
    const char** name = palloc_array_of<const char*>(1);
    name[0] = spec->name;
    spec->path = name;
    spec->path_count = 1;
}

// The functions that fold constants are the stream's owner's affair.
Node* fold_as_owner(const Relation relation, Node* expr) {
    Oid user;
    int context;
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(relation->rd_rel->relowner,
                           context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
    Node* folded = eval_const_expressions(NULL, expr);
    SetUserIdAndSecContext(user, context);
    return folded;
}

void load_generated(const Relation relation, Form_pg_attribute attribute, Columns* columns) {
    const int c = attribute->attnum - 1;
    Node* expr = build_column_default(relation, attribute->attnum);
    if (expr == NULL) column_error(relation, attribute, "has lost its generation expression");
    columns->specs[c].source = Source::kGenerated;
    columns->generated[c] = expr;
    compile_expr(fold_as_owner(relation, expr), 1, &columns->specs[c].generated);
    // It may fail, and then the message is bad: it is always computed.
    columns->used[c] = true;
    Bitmapset* attributes = NULL;
    pull_varattnos(expr, 1, &attributes);
    int member = -1;
    while ((member = bms_next_member(attributes, member)) >= 0) {
        const int number = member + FirstLowInvalidHeapAttributeNumber;
        if (number <= 0) column_error(relation, attribute, "cannot use the whole row");
        columns->used[number - 1] = true;
    }
}

void load_column(const Relation relation, int c, const StreamSpec* stream, Columns* columns) {
    Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), c);
    StreamColumnSpec* spec = &columns->specs[c];
    if (attribute->attisdropped) {
        spec->source = Source::kTopic;
        spec->type = Type::kText;
        columns->types[c] = {Type::kText, TEXTOID, -1, false};
        columns->used[c] = false;
        return;
    }
    columns->types[c] = cell_type(attribute->atttypid);
    spec->type = columns->types[c].type;
    spec->not_null = attribute->attnotnull;
    spec->name = pstrdup(NameStr(attribute->attname));
    spec->precision = spec->scale = -1;
    if (attribute->attgenerated != '\0') {
        load_generated(relation, attribute, columns);
    } else {
        load_field(relation, attribute, stream, spec);
    }
}

// Index of the event time column, -1: none.
int find_event_time(const Relation relation, const List* options) {
    const char* name = find_option(options, "event_time");
    if (name == NULL) return -1;
    const TupleDesc descriptor = RelationGetDescr(relation);
    for (int c = 0; c < descriptor->natts; c++) {
        Form_pg_attribute attribute = TupleDescAttr(descriptor, c);
        if (attribute->attisdropped || strcmp(NameStr(attribute->attname), name) != 0) continue;
        if (attribute->atttypid != TIMESTAMPTZOID || attribute->atttypmod >= 0) {
            column_error(relation, attribute,
                         "is its event_time and must be of type timestamp with time zone");
        }
        return c;
    }
    ereport(ERROR, (errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
                    errmsg("option event_time of stream \"%s\" names column \"%s\", which does "
                           "not exist",
                           RelationGetRelationName(relation), name)));
}

int64 interval_or(const List* options, const char* name, int64 otherwise) {
    const char* value = find_option(options, name);
    return value == NULL ? otherwise : parse_interval_option(name, value);
}

const char* load_topic(const Relation relation, const List* options) {
    const char* topic = find_option(options, "topic");
    if (topic == NULL) {
        ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
                        errmsg("stream \"%s\" has no topic", RelationGetRelationName(relation)),
                        errhint("Set its option topic.")));
    }
    return pstrdup(topic);
}

void load_options(const Relation relation, const List* options, StreamDefinition* stream) {
    stream->spec.topic = load_topic(relation, options);
    stream->spec.watermark_delay_us = interval_or(options, "watermark_delay", 0);
    stream->spec.idle_timeout_us = interval_or(options, "idle_timeout", kDefaultIdleTimeout_us);
    stream->spec.max_future_us = interval_or(options, "max_future", kDefaultMaxFuture_us);
    load_format_options(options, &stream->spec, &stream->settings, &stream->rows_jsonpath);
    const char* startup = find_option(options, "startup");
    stream->startup = parse_startup(startup == NULL ? "earliest" : startup);
}

void check_field_count(const Relation relation, const StreamColumnSpec* columns, int count,
                       Format format) {
    int fields = 0;
    for (int c = 0; c < count; c++) fields += columns[c].source == Source::kField ? 1 : 0;
    if (format != Format::kRaw || fields <= 1) return;
    ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_COLUMN_NUMBER),
                    errmsg("stream \"%s\" of format raw has %d columns for the message",
                           RelationGetRelationName(relation), fields),
                    errhint("One column takes the whole message; others may be metadata or "
                            "generated.")));
}

void load_columns(const Relation relation, const List* options, const bool* used_columns,
                  StreamDefinition* stream) {
    const int count = RelationGetDescr(relation)->natts;
    Columns columns = {palloc_array_of<StreamColumnSpec>(count), palloc_array_of<CellType>(count),
                       palloc_array_of<Node*>(count), palloc_array_of<bool>(count)};
    for (int c = 0; c < count; c++) columns.used[c] = used_columns == NULL || used_columns[c];
    for (int c = 0; c < count; c++) load_column(relation, c, &stream->spec, &columns);
    stream->spec.event_time = find_event_time(relation, options);
    if (stream->spec.event_time >= 0) columns.used[stream->spec.event_time] = true;
    for (int c = 0; c < count; c++) columns.specs[c].used = columns.used[c];
    check_field_count(relation, columns.specs, count, stream->spec.format);
    stream->spec.columns = columns.specs;
    stream->spec.column_count = count;
    stream->types = columns.types;
    stream->generated = columns.generated;
}

void load_reader_properties(const List* options, StreamDefinition* stream) {
    int count = 0;
    const bridge::Property* loaded =
        load_properties(stream->server, stream->owner, bridge::ClientKind::kReader, &count);
    bridge::Property* properties = palloc_array_of<bridge::Property>(count + 1);
    for (int i = 0; i < count; i++) properties[i] = loaded[i];
    const char* group = find_option(options, "group_id");
    stream->has_group = group != NULL;
    if (group != NULL) properties[count++] = {"group.id", pstrdup(group)};
    stream->properties = properties;
    stream->property_count = count;
}

bool is_our_server(Oid server_oid) {
    const ForeignServer* server = GetForeignServer(server_oid);
    return strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, "anomaly_kafka") == 0;
}

}  // namespace

bool is_stream(Oid relation) {
    if (get_rel_relkind(relation) != RELKIND_FOREIGN_TABLE) return false;
    return is_our_server(GetForeignServerIdByRelId(relation));
}

void require_stream(Oid relation) {
    if (is_stream(relation)) return;
    const char* name = get_rel_name(relation);
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("%s is not a stream", name == NULL ? "this" : quote_identifier(name)),
                    errdetail("A stream is a foreign table of the foreign-data wrapper "
                              "anomaly_kafka.")));
}

bool is_event_time_column(Oid stream, Index stream_varno, const Node* expr) {
    if (expr == NULL || !IsA(expr, Var)) return false;
    const Var* var = reinterpret_cast<const Var*>(expr);
    if (var->varno != static_cast<int>(stream_varno) || var->varattno <= 0) return false;
    Relation relation = table_open(stream, AccessShareLock);
    const int column = find_event_time(relation, GetForeignTable(stream)->options);
    table_close(relation, NoLock);
    return column == var->varattno - 1;
}

StreamDefinition* load_stream(Oid foreign_table, const bool* used_columns) {
    Relation relation = table_open(foreign_table, AccessShareLock);
    if (!is_stream(foreign_table)) {
        ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                        errmsg("\"%s\" is not a stream", RelationGetRelationName(relation)),
                        errdetail("A stream is a foreign table of the foreign-data wrapper "
                                  "anomaly_kafka.")));
    }
    const ForeignTable* table = GetForeignTable(foreign_table);
    StreamDefinition* stream = palloc_array_of<StreamDefinition>(1);
    stream->relation = foreign_table;
    stream->owner = relation->rd_rel->relowner;
    stream->server = table->serverid;
    stream->name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
                                              RelationGetRelationName(relation));
    // With its constraints: without them no column is NOT NULL.
    stream->descriptor = CreateTupleDescCopyConstr(RelationGetDescr(relation));
    store_virtual_columns(stream->descriptor);
    load_options(relation, table->options, stream);
    load_columns(relation, table->options, used_columns, stream);
    load_reader_properties(table->options, stream);
    table_close(relation, NoLock);
    return stream;
}

StreamSource load_source(Oid foreign_table) {
    Relation relation = table_open(foreign_table, AccessShareLock);
    require_stream(foreign_table);
    const ForeignTable* table = GetForeignTable(foreign_table);
    StreamSource source = {load_topic(relation, table->options), NULL, 0};
    source.properties = load_properties(table->serverid, relation->rd_rel->relowner,
                                        bridge::ClientKind::kReader, &source.property_count);
    table_close(relation, NoLock);
    return source;
}

}  // namespace anomaly::pg
