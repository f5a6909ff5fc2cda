// The loop of a stream worker: poll, let PostgreSQL judge what only it can, commit, wait.
#include "pg/ingest/ingest_loop.h"

#include "bridge/ending.h"

#include "pg/event/announce.h"
#include "pg/ingest/group_mirror.h"
#include "pg/ingest/progress.h"
#include "pg/ingest/replay.h"
#include "pg/ingest/rest.h"
#include "pg/ingest/stream_run.h"
#include "pg/process/backoff.h"
#include "pg/process/worker_session.h"
#include "pg/rule/rule_outcome.h"
#include "pg/server/call.h"
#include "pg/server/guc.h"
#include "pg/server/subtransaction.h"
#include "pg/shared/extension_lock.h"
#include "pg/shared/shmem.h"
#include "pg/shared/shmem_rest.h"
#include "pg/shared/start_mark.h"
#include "pg/shared/wait.h"

namespace anomaly::pg {

namespace {

// A reader this close behind another one goes on to meet it.
constexpr int64 kMeetWithinMessages = 100000;
// How often a table that waits for memory is looked at.
constexpr int64 kMemoryRetryUs = USECS_PER_SEC;

// ---- polling ----

void keep_lost(RunReader* reader, const bridge::PollResult& result) {
    LostRecords* lost = reader->lost;
    for (int i = 0; i < result.lost_count; i++) {
        if (lost->count == lost->capacity) {
            lost->capacity *= 2;
            lost->ranges = static_cast<bridge::LostRange*>(repalloc(
                lost->ranges, sizeof(bridge::LostRange) * static_cast<Size>(lost->capacity)));
        }
        bridge::LostRange* kept = &lost->ranges[lost->count++];
        *kept = result.lost[i];
        kept->reason = MemoryContextStrdup(reader->context, result.lost[i].reason);
        reader->wants_commit = true;
    }
}

// One log line when the broker or the topic goes away and one when it is back, however many readers
// see it.
void note_broker(const StreamRun* run, RunReader* reader, const bridge::PollResult& result) {
    if (result.broker == reader->broker) return;
    reader->broker = result.broker;
    const char* topic = run->definition->spec.topic;
    switch (result.broker) {
        case bridge::Broker::kStarting:
            break;
        case bridge::Broker::kUnreachable:
            publish_unreachable(result.broker_error);
            break;
        case bridge::Broker::kTopicMissing:
            if (publish_error(StreamState::kFailing,
                              psprintf("topic \"%s\": %s", topic, result.broker_error))) {
                ereport(LOG, (errmsg("anomaly cannot read topic \"%s\": %s", topic,
                                     result.broker_error)));
            }
            break;
        case bridge::Broker::kReachable:
            switch (publish_state(StreamState::kRunning)) {
                case StreamState::kUnreachable:
                    ereport(LOG, (errmsg("anomaly reaches the broker again")));
                    break;
                case StreamState::kFailing:
                    ereport(LOG, (errmsg("anomaly reads topic \"%s\" again", topic)));
                    break;
                default:
                    break;
            }
            break;
    }
}

void drain_log(RunReader* reader) {
    char line[512];
    int32 level = 0;
    while (bridge::ingest_log(reader->ingest, line, sizeof(line), &level)) {
        ereport(DEBUG1, (errmsg_internal("kafka: %s", line)));
    }
}

// The message that is alone in the batch: may it be looked at? False: the extension is gone.
bool take_carefully(const StreamRun* run, RunReader* reader) {
    const bridge::RawMessage message = bridge::ingest_first_message(reader->ingest);
    bool gone = false;
    if (!mark_suspect(run->stream, message.partition, message.offset, &gone)) return !gone;
    ereport(LOG, (errmsg("anomaly puts a message of topic \"%s\" aside that ends its worker",
                         run->definition->spec.topic),
                  errdetail("Partition %d, offset " INT64_FORMAT ": it is in anomaly.dead_letter.",
                            message.partition, message.offset)));
    check(bridge::ingest_put_aside(reader->ingest, "this message ended the worker each time"));
    return true;
}

// False: the extension is gone.
bool take_batch(StreamRun* run, RunReader* reader) {
    if (is_careful() && !take_carefully(run, reader)) return false;
    return judge_batch(run, reader);
}

// There is nothing to commit that could fail again: it is failing no more, and a commit says so.
bool has_recovered(const StreamRun* run, const RunReader* reader,
                   const bridge::PollResult& result) {
    if (!result.all_at_end) return false;
    for (int t = 0; t < run->table_count; t++) {
        if (run->tables[t].reader == reader && run->tables[t].failures > 0) return true;
    }
    return false;
}

// *busy: there was a batch. False: the extension is gone.
bool poll_reader(StreamRun* run, RunReader* reader, bool* busy) {
    bridge::PollResult result = {};
    const bridge::IngestStats before = bridge::ingest_stats(reader->ingest);
    check(bridge::ingest_poll(reader->ingest, now_us(), &result));
    if (result.has_batch && !take_batch(run, reader)) return false;
    const bridge::IngestStats after = bridge::ingest_stats(reader->ingest);
    reader->rows_since_commit += after.message_count - before.message_count;
    reader->bytes_since_commit += after.byte_count - before.byte_count;
    reader->wants_commit = reader->wants_commit || result.wants_commit || result.has_batch ||
                           has_recovered(run, reader, result);
    reader->drained = result.drained;
    reader->nothing_to_read = result.all_at_end || result.broker == bridge::Broker::kUnreachable ||
                              result.broker == bridge::Broker::kTopicMissing;
    reader->deadline_us = result.deadline_us;
    keep_lost(reader, result);
    note_broker(run, reader, result);
    drain_log(reader);
    *busy = *busy || result.has_batch;
    return true;
}

// At once when nothing waits (latency); under load when there is enough, or it is time
// (throughput).
bool commit_is_due(const RunReader* reader) {
    if (!reader->wants_commit) return false;
    return reader->drained || is_careful() || reader->rows_since_commit >= settings.commit_rows ||
           now_us() - reader->last_commit_us >= settings.commit_interval_ms * INT64CONST(1000);
}

// ---- several readers ----

void close_empty_readers(StreamRun* run) {
    for (int r = run->reader_count - 1; r >= 0; r--) {
        RunReader* reader = run->readers[r];
        if (has_tables(run, reader)) continue;
        if (run->meeting[0] == reader || run->meeting[1] == reader) {
            RunReader* other = run->meeting[run->meeting[0] == reader ? 1 : 0];
            bridge::ingest_part(other->ingest);
            run->meeting[0] = run->meeting[1] = NULL;
        }
        close_reader(run, reader);
    }
}

// A reader that has nearly caught up with another one and this one read on to the same positions,
// and are one from then on.
void begin_meeting(StreamRun* run) {
    if (run->meeting[0] != NULL) return;
    for (int a = 0; a < run->reader_count; a++) {
        for (int b = a + 1; b < run->reader_count; b++) {
            RunReader* one = run->readers[a];
            RunReader* other = run->readers[b];
            const int64 apart = bridge::ingest_distance(one->ingest, other->ingest) +
                                bridge::ingest_distance(other->ingest, one->ingest);
            if (apart < 0 || apart > kMeetWithinMessages) continue;
            run->meeting[0] = one;
            run->meeting[1] = other;
            return;
        }
    }
}

// False: the extension is gone.
bool end_meeting(StreamRun* run) {
    if (run->meeting[0] == NULL) return true;
    bridge::ingest_meet(run->meeting[0]->ingest, run->meeting[1]->ingest);
    if (!bridge::ingest_met(run->meeting[0]->ingest, run->meeting[1]->ingest)) return true;
    RunReader* to = run->meeting[0];
    RunReader* from = run->meeting[1];
    run->meeting[0] = run->meeting[1] = NULL;
    return join_readers(run, to, from);
}

// ---- opening them ----

// Tables at equal positions share a reader.
bool open_due_tables(StreamRun* run) {
    RunTable** group = static_cast<RunTable**>(
        MemoryContextAlloc(run->context, sizeof(RunTable*) * static_cast<Size>(run->table_count)));
    for (int t = 0; t < run->table_count; t++) {
        if (!run->tables[t].is_due) continue;
        int count = 0;
        for (int u = t; u < run->table_count; u++) {
            if (run->tables[u].is_due && at_equal_positions(&run->tables[t], &run->tables[u])) {
                group[count++] = &run->tables[u];
            }
        }
        for (int g = 0; g < count; g++) group[g]->is_due = false;
        if (!open_reader(run, group, count)) return false;
    }
    pfree(group);
    return true;
}

// Those that wait for a lock are looked at before they are read for.
bool open_readers(StreamRun* run) {
    for (int t = 0; t < run->table_count; t++) {
        RunTable* table = &run->tables[t];
        if (!resolve_start(run, table)) return false;
        table->is_due = table->is_loaded && table->lock_waits == 0;
    }
    return open_due_tables(run);
}

// False: the extension is gone.
bool load_positions(StreamRun* run) {
    if (!begin_extension_transaction()) return false;
    const MemoryContext caller = MemoryContextSwitchTo(run->context);
    for (int t = 0; t < run->table_count; t++) {
        RunTable* table = &run->tables[t];
        if (table->is_due) load_progress(table->relid, &table->progress);
    }
    MemoryContextSwitchTo(caller);
    end_extension_transaction();
    return true;
}

bool is_left_waiting(const RunTable* table) {
    return table->reader == NULL && table->lock_waits > 0;
}

// Failing and waiting tables whose time has come start again from their own position. What one has
// waited for, others may have too: they are looked at together, so as to share a reader.
bool retry_tables(StreamRun* run) {
    const int64 now = now_us();
    bool looks = false;
    for (int t = 0; t < run->table_count; t++) {
        looks = looks || (is_left_waiting(&run->tables[t]) && run->tables[t].retry_at_us <= now);
    }
    bool any = false;
    for (int t = 0; t < run->table_count; t++) {
        RunTable* table = &run->tables[t];
        const bool is_time = table->retry_at_us <= now || (looks && is_left_waiting(table));
        if (table->reader != NULL || !is_time || !locks_are_free(table)) continue;
        if (!table->is_loaded) {
            if (!retry_load(run, table)) return false;
            continue;
        }
        if (!has_memory_for(run, table)) {
            table->retry_at_us = now + kMemoryRetryUs;
            continue;
        }
        table->is_due = any = true;
    }
    return !any || (load_positions(run) && open_due_tables(run));
}

int64 next_retry_us(const StreamRun* run) {
    int64 next = PG_INT64_MAX;
    for (int t = 0; t < run->table_count; t++) {
        if (run->tables[t].reader == NULL) next = Min(next, run->tables[t].retry_at_us);
    }
    return next;
}

// ---- start, wait, end ----

void publish_run(const StreamRun* run) {
    StreamFigures figures = {};
    for (int r = 0; r < run->reader_count; r++) {
        const bridge::IngestStats stats = bridge::ingest_stats(run->readers[r]->ingest);
        figures.message_count = Max(figures.message_count, stats.message_count);
        figures.byte_count = Max(figures.byte_count, stats.byte_count);
        figures.dead_letter_count = Max(figures.dead_letter_count, stats.dead_letter_count);
        figures.memory_bytes += stats.memory_bytes;
        figures.lag = Max(figures.lag, stats.lag);
    }
    figures.reader_count = run->reader_count;
    publish_figures(figures);
}

int64 figures_due_us(const StreamRun* run) {
    int64 due = PG_INT64_MAX;
    for (int t = 0; t < run->table_count; t++) {
        if (run->tables[t].is_loaded) due = Min(due, run->tables[t].rules->figures_due_us);
    }
    return due;
}

// Of rules that found nothing lately. False: the extension is gone.
bool store_figures(StreamRun* run) {
    if (!begin_extension_transaction()) return false;
    SPI_connect();
    for (int t = 0; t < run->table_count; t++) {
        if (run->tables[t].is_loaded) store_quiet_figures(run->tables[t].rules);
    }
    SPI_finish();
    end_extension_transaction();
    return true;
}

bool has_nothing_to_read(const StreamRun* run) {
    for (int r = 0; r < run->reader_count; r++) {
        if (!run->readers[r]->nothing_to_read) return false;
    }
    return true;
}

// What lies further behind than a batch reaches was not in the batch that ended the worker.
void end_care_in_time(StreamRun* run, bool busy) {
    if (!is_careful()) return;
    if (busy && ++run->careful_rounds < settings.batch_rows) return;
    if (!busy && !has_nothing_to_read(run)) return;
    end_care();
    for (int r = 0; r < run->reader_count; r++) {
        bridge::ingest_set_batch_rows(run->readers[r]->ingest, settings.batch_rows);
    }
}

void wait_for_work(const StreamRun* run) {
    if (is_wanted()) return;
    constexpr int kMaxFds = 32;
    int fds[kMaxFds];
    int count = 0;
    int64 deadline = Min(Min(announce_due_us(), next_retry_us(run)),
                         Min(figures_due_us(run), mirror_due_us(run)));
    deadline = Min(deadline, rest_due_us(run));
    for (int r = 0; r < run->reader_count; r++) {
        if (count < kMaxFds) fds[count++] = bridge::ingest_fd(run->readers[r]->ingest);
        // What rests has no window to close, and no client to change.
        if (run->rest != Rest::kRests) deadline = Min(deadline, run->readers[r]->deadline_us);
    }
    pgstat_report_activity(STATE_IDLE, NULL);
    wait_for_events(std::span<const int>(fds, static_cast<size_t>(count)), deadline);
    pgstat_report_activity(STATE_RUNNING, "reading");
}

// One round over all readers. False: the extension is gone.
bool work(StreamRun* run, bool* busy) {
    *busy = false;
    for (int r = 0; r < run->reader_count; r++) {
        RunReader* reader = run->readers[r];
        if (!poll_reader(run, reader, busy)) return false;
        if (!commit_is_due(reader)) continue;
        if (!commit_reader(run, reader)) return false;
        run->mirror_is_due = true;
        *busy = true;
    }
    if (!keep_within_memory(run)) return false;
    if (!replay_letters(run, busy)) return false;
    close_empty_readers(run);
    begin_meeting(run);
    if (!end_meeting(run)) return false;
    return retry_tables(run);
}

// Reads until the catalog changes (true: load it again) or the extension is gone (false).
bool run_until_reload(StreamRun* run) {
    if (!open_readers(run)) return false;
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        reload_configuration_if_asked();
        if (take_reload_request()) return store_figures(run);
        if (take_close_request() && !close_windows_as_asked(run)) return false;
        bool busy = false;
        if (!work(run, &busy)) return false;
        end_care_in_time(run, busy);
        publish_run(run);
        mirror_positions(run);
        if (now_us() >= announce_due_us()) announce_pending();
        if (busy) continue;
        if (now_us() >= figures_due_us(run) && !store_figures(run)) return false;
        // A first wait, before the broker has said where its topic ends, is not yet "anywhere".
        if (has_nothing_to_read(run) && !clear_start_mark(run->stream)) return false;
        step_rest(run);
        wait_for_work(run);
    }
}

enum class Loaded : uint8 { kNothing, kBroken, kReady };

struct Load {
    StreamRun* run;
    bool found;
};

void load_step(void* opaque) {
    Load* load = static_cast<Load*>(opaque);
    load->found = load_run(load->run);
}

// A stream that cannot be loaded shows why.
Loaded load(StreamRun* run) {
    if (!begin_extension_transaction()) return Loaded::kNothing;
    Load load = {run, false};
    const ErrorData* error = run_in_subtransaction(load_step, &load, Containment::kTable);
    if (error != NULL && publish_error(StreamState::kFailing, error->message)) {
        ereport(LOG, (errmsg("anomaly cannot load stream \"%s\": %s", get_rel_name(run->stream),
                             error->message),
                      errdetail("Its continuous tables stay where they are, and it is tried "
                                "again.")));
    }
    end_extension_transaction();
    if (error != NULL) return Loaded::kBroken;
    return load.found ? Loaded::kReady : Loaded::kNothing;
}

// Until it is time to load again, or something was changed. False: the extension is gone.
bool wait_to_load_again(const StreamRun* run, Backoff* backoff) {
    constexpr int64 kFirstDelay_ms = 200;
    constexpr int64 kLongestDelay_ms = 60 * 1000;
    // No message is to blame.
    if (!clear_start_mark(run->stream)) return false;
    back_off(backoff, now_us(), 0, kFirstDelay_ms, kLongestDelay_ms);
    while (now_us() < backoff->retry_at && !take_reload_request()) {
        wait_for_events(-1, backoff->retry_at);
        reload_configuration_if_asked();
    }
    return true;
}

// Loads and reads, once. False: there is nothing more to do.
bool run_once(StreamRun* run, Backoff* backoff) {
    switch (load(run)) {
        case Loaded::kNothing:
            return false;
        case Loaded::kBroken:
            return wait_to_load_again(run, backoff);
        case Loaded::kReady:
            *backoff = {};
            return run_until_reload(run);
    }
    pg_unreachable();
}

}  // namespace

void ingest_run(Oid stream) {
    if (!set_start_mark(stream)) return;
    Backoff backoff = {};
    for (;;) {
        StreamRun run = {};
        run.stream = stream;
        run.context =
            AllocSetContextCreate(TopMemoryContext, "anomaly stream", ALLOCSET_DEFAULT_SIZES);
        take_reload_request();  // whatever was asked for until now, the load below sees
        const bool again = run_once(&run, &backoff);
        close_all_readers(&run);
        stop_resting();
        MemoryContextDelete(run.context);
        // With threads that cannot be stopped: the manager starts another worker.
        if (!again || bridge::has_endless_clients()) return;
    }
}

}  // namespace anomaly::pg
