// One transaction callback, registered once a session, and what it is to do.
#include "pg/shared/wake.h"
#include "pg/shared/shmem.h"

namespace anomaly::pg {

namespace {

bool wants_manager = false;
bool wants_launcher = false;
bool wants_look = false;
bool registered = false;

// More of them in one transaction: all streams of the database are woken.
constexpr int kMaxStreams = 32;
struct WantedStream {
    Oid stream;
    bool reload;
    bool close;
};
WantedStream wanted_streams[kMaxStreams];
int wanted_stream_count = 0;

void wake_streams() {
    if (wanted_stream_count > kMaxStreams) {
        wake_all_streams(MyDatabaseId);
        return;
    }
    for (int i = 0; i < wanted_stream_count; i++) {
        const WantedStream* wanted = &wanted_streams[i];
        if (wanted->reload) wake_stream(MyDatabaseId, wanted->stream);
        if (wanted->close) ask_to_close(MyDatabaseId, wanted->stream);
    }
}

// The commit is visible to others when XACT_EVENT_COMMIT comes. A parallel worker changes nothing.
void at_transaction_end(XactEvent event, void*) {
    switch (event) {
        case XACT_EVENT_COMMIT:
            if (wants_manager) wake_manager(MyDatabaseId);
            wake_streams();
            if (wants_launcher) wake_launcher();
            if (wants_look) tell_launcher(MyDatabaseId);
            [[fallthrough]];
        case XACT_EVENT_ABORT:
        case XACT_EVENT_PREPARE:
            wants_manager = wants_launcher = wants_look = false;
            wanted_stream_count = 0;
            break;
        default:
            break;
    }
}

void register_once() {
    if (!registered) RegisterXactCallback(at_transaction_end, NULL);
    registered = true;
}

void want(bool* flag) {
    register_once();
    *flag = true;
}

// With the manager: the stream may have no worker yet, or need none any more. The entry to note in
// what is wanted of it.
WantedStream* want_stream(Oid stream) {
    want(&wants_manager);
    for (int i = 0; i < Min(wanted_stream_count, kMaxStreams); i++) {
        if (wanted_streams[i].stream == stream) return &wanted_streams[i];
    }
    if (wanted_stream_count <= kMaxStreams) wanted_stream_count++;
    static WantedStream one_of_too_many;
    WantedStream* wanted = wanted_stream_count <= kMaxStreams
                               ? &wanted_streams[wanted_stream_count - 1]
                               : &one_of_too_many;
    *wanted = {stream, false, false};
    return wanted;
}

}  // namespace

void wake_manager_at_commit() {
    want(&wants_manager);
}

void wake_stream_at_commit(Oid stream) {
    want_stream(stream)->reload = true;
}

void close_windows_at_commit(Oid stream) {
    want_stream(stream)->close = true;
}

void wake_launcher_at_commit() {
    want(&wants_launcher);
}

void tell_launcher_at_commit() {
    want(&wants_look);
}

void wake_after_prepared_commit() {
    wake_manager(MyDatabaseId);
    wake_all_streams(MyDatabaseId);
    tell_launcher(MyDatabaseId);
}

}  // namespace anomaly::pg
