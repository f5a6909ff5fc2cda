// Brings the stream workers of a database to what the catalog wants.
#include "pg/process/manager_streams.h"

#include "pg/process/backoff.h"
#include "pg/process/worker_session.h"
#include "pg/shared/start_mark.h"

namespace anomaly::pg {

namespace {

constexpr int64 kFirstDelay_ms = 200;
constexpr int64 kLongestDelay_ms = 30 * 1000;

struct Stream {
    Oid oid;  // hash key
    bool wanted;
    bool starting;    // a worker was started whose end has not been seen
    bool stopping;    // it was told to end
    bool complained;  // about having no room
    BackgroundWorkerHandle* handle;
    TimestampTz started_at;
    Backoff backoff;
};

HTAB* streams = NULL;

WorkerKey key_of(const Stream* stream) {
    return {MyDatabaseId, stream->oid};
}

bool is_alive(const Stream* stream) {
    WorkerView view;
    if (view_worker(key_of(stream), &view) && view.pid != 0) return true;
    if (stream->handle == NULL) return false;
    pid_t pid = 0;
    return GetBackgroundWorkerPid(stream->handle, &pid) != BGWH_STOPPED;
}

void see_ending(Stream* stream, TimestampTz now) {
    if (stream->handle != NULL) pfree(stream->handle);
    stream->handle = NULL;
    stream->starting = false;
    if (stream->stopping) {
        stream->backoff = {};
    } else {
        back_off(&stream->backoff, now, stream->started_at, kFirstDelay_ms, kLongestDelay_ms);
        mark_stream(key_of(stream), StreamState::kFailing);
    }
    stream->stopping = false;
}

void complain(Stream* stream, const char* what, const char* hint) {
    if (!stream->complained) {
        ereport(LOG, (errmsg("anomaly cannot start the worker of stream %u: %s", stream->oid, what),
                      errhint("%s", hint)));
    }
    stream->complained = true;
}

void start_stream(Stream* stream, TimestampTz now) {
    const WorkerKey key = key_of(stream);
    const int slot = claim_slot(key);
    if (slot == kDatabaseHeld) return;  // we are being ended as well
    if (slot == kNoRoom) {
        complain(stream, "all slots for streams are taken", "Raise anomaly.max_streams.");
    } else if (start_worker({key, slot}, "anomaly_stream_worker_main", "anomaly stream worker",
                            &stream->handle)) {
        stream->starting = true;
        stream->started_at = now;
        stream->complained = false;
        return;
    } else {
        complain(stream, "no background worker slot is free",
                 "Raise max_worker_processes: anomaly takes one for itself, one for each "
                 "database and one for each stream.");
    }
    back_off(&stream->backoff, now, 0, kFirstDelay_ms, kLongestDelay_ms);
}

// A worker that has not entered its slot yet is ended by the server's own means.
void stop_stream(Stream* stream) {
    stream->stopping = true;
    stop_worker(key_of(stream));
    if (stream->handle != NULL) TerminateBackgroundWorker(stream->handle);
}

TimestampTz step(Stream* stream, TimestampTz now) {
    if (is_alive(stream)) {
        stream->starting = true;
        if (!stream->wanted && !stream->stopping) stop_stream(stream);
        return INT64_MAX;
    }
    if (stream->starting) see_ending(stream, now);
    if (!stream->wanted) {
        release_slot(key_of(stream));
        hash_search(streams, &stream->oid, HASH_REMOVE, NULL);
        return INT64_MAX;
    }
    if (stream->backoff.retry_at <= now) start_stream(stream, now);
    return stream->backoff.retry_at > now ? stream->backoff.retry_at : INT64_MAX;
}

// `not_before` is durable; the back-off in this process does not outlive a crash.
void want_stream(Oid oid, TimestampTz not_before) {
    bool found = false;
    auto* stream = static_cast<Stream*>(hash_search(streams, &oid, HASH_ENTER, &found));
    if (!found) {
        *stream = {};
        stream->oid = oid;
    }
    stream->wanted = true;
    if (not_before > stream->backoff.retry_at) stream->backoff.retry_at = not_before;
}

}  // namespace

void make_stream_table() {
    HASHCTL control = {};
    control.keysize = sizeof(Oid);
    control.entrysize = sizeof(Stream);
    control.hcxt = TopMemoryContext;
    streams = hash_create("anomaly streams", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void want_no_streams() {
    HASH_SEQ_STATUS entries;
    hash_seq_init(&entries, streams);
    while (auto* stream = static_cast<Stream*>(hash_seq_search(&entries))) stream->wanted = false;
}

int read_wanted_streams() {
    want_no_streams();
    SPI_connect();
    const int result = SPI_execute(
        "SELECT s.stream::oid, s.unfinished_starts, s.started_at FROM anomaly.stream s "
        "JOIN pg_class c ON c.oid = s.stream WHERE NOT s.paused AND EXISTS "
        "(SELECT FROM anomaly.continuous_table t WHERE t.stream = s.stream)",
        true, 0);
    if (result != SPI_OK_SELECT) elog(ERROR, "cannot read the catalog of anomaly");
    const int count = static_cast<int>(SPI_processed);
    for (int i = 0; i < count; i++) {
        Datum values[3];
        bool nulls[3];
        heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
        const TimestampTz started_at = nulls[2] ? 0 : DatumGetTimestampTz(values[2]);
        want_stream(DatumGetObjectId(values[0]),
                    next_start_after(DatumGetInt32(values[1]), started_at));
    }
    SPI_finish();
    return count;
}

TimestampTz step_streams() {
    MemoryContext outer = MemoryContextSwitchTo(TopMemoryContext);
    const TimestampTz now = GetCurrentTimestamp();
    TimestampTz next = INT64_MAX;
    HASH_SEQ_STATUS entries;
    hash_seq_init(&entries, streams);
    while (auto* stream = static_cast<Stream*>(hash_seq_search(&entries))) {
        next = Min(next, step(stream, now));
    }
    MemoryContextSwitchTo(outer);
    return next;
}

}  // namespace anomaly::pg
