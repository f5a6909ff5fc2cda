// Finds the topics, reads the newest messages of each, and writes the statements.
#include "bridge/guess.h"
#include "bridge/topic.h"

#include "pg/scan/import.h"

#include "pg/scan/import_columns.h"
#include "pg/scan/peek.h"
#include "pg/server/call.h"
#include "pg/server/guc.h"
#include "pg/server/near_words.h"
#include "pg/shared/wait.h"
#include "pg/stream/format_options.h"
#include "pg/stream/options.h"
#include "pg/stream/server_options.h"

namespace anomaly::pg {

namespace {

struct ImportOptions {
    int64 sample_messages;
    bool not_null;
};

int64 parse_sample(const char* value) {
    constexpr int kMost = 1000000;
    int count = 0;
    if (!parse_int(value, &count, 0, NULL) || count < 1 || count > kMost) {
        invalid_option_value(
            "sample_messages", value,
            psprintf("It is the number of messages to look at, from 1 to %d.", kMost));
    }
    return count;
}

ImportOptions take_options(const List* options) {
    static const char* const kNames[] = {"sample_messages", "not_null", NULL};
    ImportOptions taken = {1000, true};
    ListCell* cell;
    foreach (cell, options) {
        DefElem* option = lfirst_node(DefElem, cell);
        if (strcmp(option->defname, "sample_messages") == 0) {
            taken.sample_messages = parse_sample(defGetString(option));
        } else if (strcmp(option->defname, "not_null") == 0) {
            taken.not_null = defGetBoolean(option);
        } else {
            ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
                            errmsg("invalid option \"%s\"", option->defname),
                            errhint("%s", choice_hint(option->defname, kNames))));
        }
    }
    return taken;
}

// ---- which topics ----

struct TopicQuestion {
    bridge::TopicList* list;
    MemoryContextCallback on_reset;
};

void close_question(void* opaque) {
    forget_waited_fds();
    bridge::topic_list_close(static_cast<TopicQuestion*>(opaque)->list);
}

// In the current memory context, which closes the question.
void ask_topics(const bridge::Property* properties, int property_count, const char* const** names,
                int32* count) {
    TopicQuestion* question = static_cast<TopicQuestion*>(palloc0(sizeof(TopicQuestion)));
    question->on_reset.func = close_question;
    question->on_reset.arg = question;
    MemoryContextRegisterResetCallback(CurrentMemoryContext, &question->on_reset);
    check(bridge::topic_list_open(properties, property_count, settings.peek_time_limit_ms,
                                  &question->list));
    for (bool done = false;;) {
        check(bridge::topic_list_result(question->list, &done, names, count));
        if (done) return;
        wait_for_events(bridge::topic_list_fd(question->list), PG_INT64_MAX);
    }
}

// Names of tables are shorter than those of topics may be.
bool is_named(const char* topic, const List* tables) {
    const char* name = table_name(topic);
    ListCell* cell;
    foreach (cell, tables) {
        if (strcmp(lfirst_node(RangeVar, cell)->relname, name) == 0) return true;
    }
    return false;
}

bool is_wanted(const char* topic, const ImportForeignSchemaStmt* statement) {
    switch (statement->list_type) {
        case FDW_IMPORT_SCHEMA_LIMIT_TO:
            return is_named(topic, statement->table_list);
        case FDW_IMPORT_SCHEMA_EXCEPT:
            return !is_named(topic, statement->table_list);
        default:
            return true;
    }
}

void warn_of_missing(const ImportForeignSchemaStmt* statement, const char* const* topics,
                     int32 count) {
    if (statement->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO) return;
    ListCell* cell;
    foreach (cell, statement->table_list) {
        const char* name = lfirst_node(RangeVar, cell)->relname;
        bool found = false;
        for (int32 i = 0; i < count; i++) found = found || strcmp(table_name(topics[i]), name) == 0;
        if (!found) ereport(WARNING, (errmsg("there is no topic \"%s\"", name)));
    }
}

// ---- one topic ----

struct Sample {
    bridge::Guess* guess;
    MemoryContextCallback on_reset;
};

void close_sample(void* opaque) {
    bridge::guess_close(static_cast<Sample*>(opaque)->guess);
}

// A stream of the topic that has no columns: every JSON object is good for it.
StreamDefinition* plain_stream(const char* topic, const bridge::Property* properties,
                               int property_count) {
    StreamDefinition* stream = static_cast<StreamDefinition*>(palloc0(sizeof(StreamDefinition)));
    stream->name = topic;
    stream->descriptor = CreateTemplateTupleDesc(0);
    stream->types = static_cast<CellType*>(palloc0(sizeof(CellType)));
    stream->generated = static_cast<Node**>(palloc0(sizeof(Node*)));
    stream->spec.topic = topic;
    stream->spec.columns = static_cast<StreamColumnSpec*>(palloc0(sizeof(StreamColumnSpec)));
    stream->spec.event_time = -1;
    load_format_options(NIL, &stream->spec, &stream->settings, &stream->rows_jsonpath);
    stream->properties = properties;
    stream->property_count = property_count;
    return stream;
}

bool is_text(const bridge::RawMessage& message) {
    return GetDatabaseEncoding() == PG_UTF8 &&
           pg_verify_mbstr(PG_UTF8, message.key, message.key_size, true);
}

// NULL: there is nothing to tell columns by.
char* import_topic(const char* topic, const ForeignServer* server, const ImportOptions& options) {
    int property_count = 0;
    const bridge::Property* properties = load_properties(
        server->serverid, GetUserId(), bridge::ClientKind::kReader, &property_count);
    Sample* sample = static_cast<Sample*>(palloc0(sizeof(Sample)));
    sample->on_reset.func = close_sample;
    sample->on_reset.arg = sample;
    MemoryContextRegisterResetCallback(CurrentMemoryContext, &sample->on_reset);
    check(bridge::guess_open(&sample->guess));
    ScanBounds bounds = unbounded_scan();
    bounds.newest = options.sample_messages;
    Peek* peek = peek_open(plain_stream(topic, properties, property_count), &bounds);
    ImportedKeys keys = {};
    int64 count = 0;
    for (; peek_next(peek, NULL, NULL); count++) {
        const bridge::RawMessage message = peek_message(peek);
        check(bridge::guess_add(sample->guess, message.value, message.value_size));
        if (message.key == NULL) continue;
        keys.any = true;
        keys.bad = keys.bad || !is_text(message);
    }
    const int64 bad = peek_bad_count(peek);
    peek_close(peek);
    if (count == 0) {
        ereport(WARNING,
                (errmsg("topic \"%s\" is left out", topic),
                 bad > 0 ? errdetail(
                               "None of " INT64_FORMAT " messages looked at is a JSON object.", bad)
                         : errdetail("It has no messages to tell its columns by.")));
        return NULL;
    }
    const bridge::GuessedColumn* columns = NULL;
    int32 column_count = 0;
    check(bridge::guess_columns(sample->guess, &columns, &column_count));
    return foreign_table_statement(topic, server->servername,
                                   std::span(columns, static_cast<size_t>(column_count)),
                                   options.not_null, keys.any && !keys.bad);
}

}  // namespace

List* import_topics(ImportForeignSchemaStmt* statement, Oid server) {
    if (strcmp(statement->remote_schema, "kafka") != 0) {
        ereport(ERROR, (errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
                        errmsg("there is no foreign schema \"%s\"", statement->remote_schema),
                        errhint("All topics are in schema \"kafka\".")));
    }
    const ImportOptions options = take_options(statement->options);
    const MemoryContext caller = CurrentMemoryContext;
    MemoryContext names_context =
        AllocSetContextCreate(caller, "anomaly topics", ALLOCSET_DEFAULT_SIZES);
    MemoryContext topic_context =
        AllocSetContextCreate(caller, "anomaly topic", ALLOCSET_DEFAULT_SIZES);
    MemoryContextSwitchTo(names_context);
    int property_count = 0;
    const bridge::Property* properties =
        load_properties(server, GetUserId(), bridge::ClientKind::kReader, &property_count);
    const char* const* topics = NULL;
    int32 count = 0;
    ask_topics(properties, property_count, &topics, &count);
    warn_of_missing(statement, topics, count);
    List* statements = NIL;
    for (int32 i = 0; i < count; i++) {
        if (!is_wanted(topics[i], statement)) continue;
        MemoryContextSwitchTo(topic_context);
        char* text = import_topic(topics[i], GetForeignServer(server), options);
        MemoryContextSwitchTo(caller);
        if (text != NULL) statements = lappend(statements, pstrdup(text));
        MemoryContextReset(topic_context);
    }
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(topic_context);
    MemoryContextDelete(names_context);
    return statements;
}

}  // namespace anomaly::pg
