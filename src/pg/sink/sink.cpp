// Sinks live as long as the session, since to begin costs a connection and an identity at the
// broker. In a transaction they are "in use"; our transaction callbacks do the rest.
#include "pg/sink/sink.h"

#include "pg/server/call.h"
#include "pg/server/guc.h"
#include "pg/stream/options.h"
#include "pg/stream/server_options.h"

namespace anomaly::pg {

struct Sink {
    Sink* next;
    MemoryContext context;  // of this and all below
    Oid server;
    Oid mapping;              // InvalidOid: there is none
    const char* server_name;  // for messages
    const char* fingerprint;  // of its options; holds secrets
    bool is_transactional;
    bridge::Sink* handle;
    bool in_use;  // of this transaction
    bool wrote;   // something in this transaction
};

namespace {

constexpr int64 kHeldBytesMax = 1024 * 1024 * 1024;
constexpr int64 kWaitingBytesMax = 16 * 1024 * 1024;

Sink* sinks = NULL;
bool callbacks_registered = false;

void close_sink(Sink* sink) {
    for (Sink** at = &sinks; *at != NULL; at = &(*at)->next) {
        if (*at != sink) continue;
        *at = sink->next;
        break;
    }
    bridge::sink_close(sink->handle);
    MemoryContextDelete(sink->context);
}

void close_unused() {
    for (Sink *sink = sinks, *next; sink != NULL; sink = next) {
        next = sink->next;
        if (!sink->in_use) close_sink(sink);
    }
}

// After the transaction's end. Memory contexts go by themselves.
void close_at_exit(int, Datum) {
    for (const Sink* sink = sinks; sink != NULL; sink = sink->next) {
        bridge::sink_close(sink->handle);
    }
    sinks = NULL;
}

// ---- waiting ----

[[noreturn]] void raise_failure(const Sink* sink, const bridge::SinkState* state) {
    if (state->unknown) {
        ereport(ERROR,
                (errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
                 errmsg("it is not known whether Kafka has committed what was written to server "
                        "\"%s\"",
                        sink->server_name),
                 errdetail("%s.", state->error),
                 errhint("Here it is rolled back. Look into the topics before it is repeated.")));
    }
    ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
                    errmsg("could not write to Kafka, server \"%s\"", sink->server_name),
                    errdetail("%s.", state->error)));
}

bridge::SinkState state_of(const Sink* sink) {
    bridge::SinkState state;
    check(bridge::sink_state(sink->handle, &state));
    if (state.failed) raise_failure(sink, &state);
    return state;
}

void wait_for_fd(const Sink* sink) {
    WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH,
                      bridge::sink_fd(sink->handle), -1, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
}

void wait_until_idle(const Sink* sink) {
    while (!state_of(sink).idle) wait_for_fd(sink);
}

void wait_for_commit(const Sink* sink) {
    while (!state_of(sink).idle) {
        if (QueryCancelPending || ProcDiePending) {
            ereport(WARNING, (errmsg("it is not known whether Kafka has committed what was written "
                                     "to server \"%s\"",
                                     sink->server_name)));
        }
        wait_for_fd(sink);
    }
}

// ---- the end of a transaction ----

void deliver(bool transactional) {
    for (const Sink* sink = sinks; sink != NULL; sink = sink->next) {
        if (!sink->wrote || sink->is_transactional != transactional) continue;
        check(bridge::sink_send(sink->handle));
        check(bridge::sink_flush(sink->handle));
    }
    for (const Sink* sink = sinks; sink != NULL; sink = sink->next) {
        if (sink->wrote && sink->is_transactional == transactional) wait_until_idle(sink);
    }
}

bool any_wrote() {
    for (const Sink* sink = sinks; sink != NULL; sink = sink->next) {
        if (sink->wrote) return true;
    }
    return false;
}

// What can still make our transaction fail comes first, and Kafka's commit last.
void commit_sinks() {
    if (!any_wrote()) return;
    PreCommit_CheckForSerializationFailure();
    deliver(true);
    deliver(false);
    for (const Sink* sink = sinks; sink != NULL; sink = sink->next) {
        if (!sink->wrote || !sink->is_transactional) continue;
        check(bridge::sink_commit(sink->handle));
        wait_for_commit(sink);
    }
}

void end_use(bool aborted) {
    for (Sink* sink = sinks; sink != NULL; sink = sink->next) {
        if (sink->wrote && aborted) bridge::sink_abort(sink->handle);
        sink->in_use = sink->wrote = false;
    }
}

void at_transaction_end(XactEvent event, void*) {
    switch (event) {
        case XACT_EVENT_PRE_COMMIT:
            commit_sinks();
            break;
        case XACT_EVENT_PRE_PREPARE:
            if (!any_wrote()) break;
            ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                            errmsg("cannot PREPARE a transaction that has written to a stream"),
                            errdetail("Kafka has no prepared transactions.")));
        case XACT_EVENT_COMMIT:
        case XACT_EVENT_PREPARE:
            end_use(false);
            break;
        case XACT_EVENT_ABORT:
            end_use(true);
            break;
        default:
            break;
    }
}

void at_subtransaction_end(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
    const int level = GetCurrentTransactionNestLevel();
    for (const Sink* sink = sinks; sink != NULL; sink = sink->next) {
        if (!sink->wrote) continue;
        if (event == SUBXACT_EVENT_COMMIT_SUB) check(bridge::sink_release(sink->handle, level));
        if (event == SUBXACT_EVENT_ABORT_SUB) bridge::sink_drop(sink->handle, level);
    }
}

void register_callbacks() {
    if (callbacks_registered) return;
    RegisterXactCallback(at_transaction_end, NULL);
    RegisterSubXactCallback(at_subtransaction_end, NULL);
    on_proc_exit(close_at_exit, Datum{0});
    callbacks_registered = true;
}

// ---- opening ----

const char* fingerprint_of(const bridge::Property* properties, int count) {
    StringInfoData text;
    initStringInfo(&text);
    for (int i = 0; i < count; i++) {
        appendStringInfo(&text, "%s=%s\n", properties[i].name, properties[i].value);
    }
    return text.data;
}

// Nobody alive has the same, and who comes after a crash has one of those before it: then the
// broker ends at once what was left open.
const char* transactional_id(Oid server, Oid mapping) {
    return psprintf("anomaly-" UINT64_FORMAT "-%u-%u-%u-%d", GetSystemIdentifier(), MyDatabaseId,
                    server, mapping, backend_slot());
}

void check_single(const Sink* other) {
    if (!other->in_use || !other->is_transactional) return;
    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
             errmsg("cannot write to streams of several servers or users in one transaction"),
             errdetail("Their Kafka transactions could not be committed together."),
             errhint("Use several transactions, or set option delivery of the server to plain.")));
}

Sink* open_new(const ForeignServer* server, Oid mapping, const bridge::Property* properties,
               int count) {
    const char* delivery = find_option(server->options, "delivery");
    const bool is_transactional = delivery == NULL || strcmp(delivery, "plain") != 0;
    for (const Sink* other = sinks; is_transactional && other != NULL; other = other->next) {
        check_single(other);
    }
    const MemoryContext context =
        AllocSetContextCreate(TopMemoryContext, "anomaly sink", ALLOCSET_SMALL_SIZES);
    Sink* sink = static_cast<Sink*>(MemoryContextAllocZero(context, sizeof(Sink)));
    sink->context = context;
    sink->server = server->serverid;
    sink->mapping = mapping;
    sink->is_transactional = is_transactional;
    sink->server_name = MemoryContextStrdup(context, server->servername);
    sink->fingerprint = MemoryContextStrdup(context, fingerprint_of(properties, count));
    sink->next = sinks;
    sinks = sink;
    return sink;
}

}  // namespace

Sink* sink_open(Oid server_oid, Oid user) {
    const ForeignServer* server = GetForeignServer(server_oid);
    const Oid mapping = find_mapping(server_oid, user);
    int count = 0;
    const bridge::Property* properties =
        load_properties(server_oid, user, bridge::ClientKind::kWriter, &count);
    for (Sink* sink = sinks; sink != NULL; sink = sink->next) {
        if (sink->server != server_oid || sink->mapping != mapping) continue;
        if (sink->in_use) return sink;
        if (sink->handle == NULL) break;  // it could not be opened
        bridge::SinkState state = {};
        check(bridge::sink_state(sink->handle, &state));
        if (state.broken || strcmp(sink->fingerprint, fingerprint_of(properties, count)) != 0) {
            break;
        }
        if (state.failed) bridge::sink_abort(sink->handle);
        sink->in_use = true;
        return sink;
    }
    close_unused();
    register_callbacks();
    Sink* sink = open_new(server, mapping, properties, count);
    const char* id = sink->is_transactional ? transactional_id(server_oid, mapping) : "";
    check(bridge::sink_open(properties, count, id, &sink->handle));
    sink->in_use = true;
    return sink;
}

void sink_write(Sink* sink, const bridge::SinkMessage* message) {
    sink->wrote = true;
    check(bridge::sink_put(sink->handle, GetCurrentTransactionNestLevel(), *message));
}

void sink_pace(Sink* sink) {
    bridge::SinkState state = state_of(sink);
    const int64 buffer_bytes = static_cast<int64>(settings.sink_buffer_kb) * 1024;
    if (sink->is_transactional && state.ready_bytes > buffer_bytes) {
        check(bridge::sink_send(sink->handle));
        state = state_of(sink);
    }
    if (state.held_bytes > kHeldBytesMax) {
        ereport(ERROR,
                (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                 errmsg("too much is written to streams of server \"%s\" that cannot be sent yet",
                        sink->server_name),
                 errdetail("Messages of a savepoint wait in memory until it is released, and with "
                           "delivery plain all messages until the commit.")));
    }
    while (state.waiting_bytes > kWaitingBytesMax) {
        wait_for_fd(sink);
        state = state_of(sink);
    }
}

}  // namespace anomaly::pg
