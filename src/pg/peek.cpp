// Waits on the broker with the latch beside it, so that the statement can always be cancelled.
#include "bridge/topic.h"

#include "pg/peek.h"

#include "pg/call.h"
#include "pg/guc.h"
#include "pg/referee.h"

namespace anomaly::pg {

struct Peek {
    const StreamDefinition* stream;
    MemoryContext context;
    MemoryContextCallback on_reset;
    bridge::TopicEnds* question;  // while it is asked
    bridge::Ingest* ingest;
    Referee* referee;
    bridge::PartitionEnds* ends;
    int32 partition_count;
    const int32* rows;  // good rows of the batch at hand
    int32 row_count;
    int32 next_row;
    bool has_batch;  // folded, not yet let go
    int64 bad_count;
};

namespace {

void close_handles(void* opaque) {
    Peek* peek = static_cast<Peek*>(opaque);
    bridge::topic_ends_close(peek->question);
    peek->question = NULL;
    bridge::ingest_close(peek->ingest);
    peek->ingest = NULL;
}

// True: the fd is readable, or the time deadline_us came. Fails at time_limit_us.
void wait_for_broker(const Peek* peek, int fd, TimestampTz deadline_us, TimestampTz time_limit_us) {
    const TimestampTz now = GetCurrentTimestamp();
    if (now >= time_limit_us) {
        ereport(ERROR,
                (errcode(ERRCODE_CONNECTION_FAILURE),
                 errmsg("no answer from the broker for topic \"%s\"", peek->stream->spec.topic),
                 errdetail("Nothing came for %d ms.", settings.peek_time_limit_ms),
                 errhint("Check option bootstrap_servers of the server, or raise "
                         "anomaly.peek_time_limit.")));
    }
    const TimestampTz until = Min(deadline_us, time_limit_us);
    const long timeout_ms = TimestampDifferenceMilliseconds(now, until);
    WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                      fd, timeout_ms, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
}

TimestampTz time_limit_from_now() {
    return GetCurrentTimestamp() + static_cast<int64>(settings.peek_time_limit_ms) * 1000;
}

void ask_ends(Peek* peek) {
    const StreamDefinition* stream = peek->stream;
    check(bridge::topic_ends_open(stream->spec.topic, stream->properties, stream->property_count,
                                  settings.peek_time_limit_ms, &peek->question));
    // The question has the time limit itself, and words for what went wrong; ours is for its
    // thread.
    const TimestampTz time_limit_us = time_limit_from_now() + USECS_PER_SEC;
    const bridge::PartitionEnds* ends = NULL;
    int32 count = 0;
    for (bool done = false; !done;) {
        check(bridge::topic_ends_result(peek->question, &done, &ends, &count));
        if (done) break;
        wait_for_broker(peek, bridge::topic_ends_fd(peek->question), PG_INT64_MAX, time_limit_us);
    }
    const Size size = static_cast<Size>(count) + 1;
    peek->partition_count = count;
    peek->ends = static_cast<bridge::PartitionEnds*>(
        MemoryContextAlloc(peek->context, sizeof(bridge::PartitionEnds) * size));
    memcpy(peek->ends, ends, sizeof(bridge::PartitionEnds) * static_cast<Size>(count));
    bridge::topic_ends_close(peek->question);
    peek->question = NULL;
}

void start(Peek* peek) {
    bridge::IngestOptions options = {};
    options.properties = peek->stream->properties;
    options.property_count = peek->stream->property_count;
    options.batch_rows = settings.batch_rows;
    options.batch_bytes = static_cast<int64_t>(settings.batch_kb) * 1024;
    options.database_is_utf8 = GetDatabaseEncoding() == PG_UTF8;
    check(bridge::ingest_open(peek->stream->spec, options, &peek->ingest));
    PartitionProgress* starts = static_cast<PartitionProgress*>(
        palloc0(sizeof(PartitionProgress) * (static_cast<Size>(peek->partition_count) + 1)));
    for (int32 p = 0; p < peek->partition_count; p++) {
        starts[p] = {peek->ends[p].partition, peek->ends[p].low, -1, 0, kNoTime};
    }
    check(bridge::ingest_start(peek->ingest, starts, peek->partition_count, kOffsetBeginning));
    pfree(starts);
}

const bridge::PartitionEnds* find_ends(const Peek* peek, int32 partition) {
    for (int32 p = 0; p < peek->partition_count; p++) {
        if (peek->ends[p].partition == partition) return &peek->ends[p];
    }
    return NULL;  // it appeared later
}

bool is_within(const Peek* peek, int32 partition, int64 offset) {
    const bridge::PartitionEnds* ends = find_ends(peek, partition);
    return ends != NULL && offset < ends->high;
}

bool is_complete(const Peek* peek) {
    const PartitionProgress* positions = NULL;
    int32 count = 0;
    bridge::ingest_positions(peek->ingest, &positions, &count);
    for (int32 p = 0; p < peek->partition_count; p++) {
        bool reached = peek->ends[p].low >= peek->ends[p].high;
        for (int32 i = 0; i < count && !reached; i++) {
            reached = positions[i].partition == peek->ends[p].partition &&
                      positions[i].next_offset >= peek->ends[p].high;
        }
        if (!reached) return false;
    }
    return true;
}

// Lets go of the batch at hand and counts what was bad in it.
void release_batch(Peek* peek) {
    peek->has_batch = false;
    peek->rows = NULL;
    peek->row_count = peek->next_row = 0;
    check(bridge::ingest_prepare_commit(peek->ingest, GetCurrentTimestamp()));
    const DeadLetter* letters = NULL;
    int32 count = 0;
    bridge::ingest_dead_letters(peek->ingest, &letters, &count);
    for (int32 i = 0; i < count; i++) {
        if (is_within(peek, letters[i].partition, letters[i].offset)) peek->bad_count++;
    }
    check(bridge::ingest_committed(peek->ingest));
}

void check_poll(const Peek* peek, const bridge::PollResult& result) {
    if (result.broker == bridge::Broker::kUnreachable) {
        ereport(ERROR,
                (errcode(ERRCODE_CONNECTION_FAILURE),
                 errmsg("lost the broker while reading topic \"%s\"", peek->stream->spec.topic),
                 errdetail("%s", result.broker_error)));
    }
    for (int32 i = 0; i < result.lost_count; i++) {
        const bridge::LostRange& lost = result.lost[i];
        if (!is_within(peek, lost.partition, lost.from_offset)) continue;
        ereport(ERROR,
                (errcode(ERRCODE_CONNECTION_FAILURE),
                 errmsg("messages of topic \"%s\" were gone before they could be read",
                        peek->stream->spec.topic),
                 errdetail("Partition %d, offsets " INT64_FORMAT " to " INT64_FORMAT ": %s.",
                           lost.partition, lost.from_offset, lost.to_offset - 1, lost.reason),
                 errhint("Try again.")));
    }
}

// Until a batch is there (true) or all was read (false).
bool fetch_batch(Peek* peek) {
    const TimestampTz time_limit_us = time_limit_from_now();
    for (;;) {
        if (is_complete(peek)) return false;
        bridge::PollResult result;
        check(bridge::ingest_poll(peek->ingest, GetCurrentTimestamp(), &result));
        check_poll(peek, result);
        if (result.has_batch) break;
        // Control records at the end of a partition are no messages: only the broker knows.
        if (result.all_at_end) return false;
        if (!result.drained) continue;
        wait_for_broker(peek, bridge::ingest_fd(peek->ingest), result.deadline_us, time_limit_us);
    }
    referee_run(peek->referee, peek->ingest);
    bridge::ingest_good_rows(peek->ingest, &peek->rows, &peek->row_count);
    peek->has_batch = true;
    return true;
}

void take_row(const Peek* peek, int32 row, Datum* values, bool* nulls) {
    const StreamSpec* spec = &peek->stream->spec;
    for (int c = 0; c < spec->column_count; c++) {
        nulls[c] = true;
        if (!spec->columns[c].used) continue;
        const ColumnView view = bridge::ingest_column(peek->ingest, c);
        if (row >= view.row_count || (view.nulls != NULL && view.nulls[row] != 0)) continue;
        const Size cells = static_cast<Size>(row) * static_cast<Size>(stride(view.type));
        values[c] = datum_from_cells(peek->stream->types[c], view.cells + cells);
        nulls[c] = false;
    }
}

}  // namespace

Peek* peek_open(const StreamDefinition* stream) {
    Peek* peek = static_cast<Peek*>(palloc0(sizeof(Peek)));
    peek->stream = stream;
    peek->context = CurrentMemoryContext;
    // Before there is anything to close: nothing may fail between an open and this.
    peek->on_reset.func = close_handles;
    peek->on_reset.arg = peek;
    MemoryContextRegisterResetCallback(peek->context, &peek->on_reset);
    peek->referee = referee_create(stream, GetUserId(), peek->context);
    ask_ends(peek);
    start(peek);
    return peek;
}

void peek_close(Peek* peek) {
    if (peek->has_batch) release_batch(peek);
    close_handles(peek);
}

void peek_restart(Peek* peek) {
    close_handles(peek);
    peek->has_batch = false;
    peek->rows = NULL;
    peek->row_count = peek->next_row = 0;
    peek->bad_count = 0;
    start(peek);
}

bool peek_next(Peek* peek, Datum* values, bool* nulls) {
    for (;;) {
        while (peek->next_row < peek->row_count) {
            const int32 row = peek->rows[peek->next_row++];
            const bridge::RawMessage message = bridge::ingest_message(peek->ingest, row);
            if (!is_within(peek, message.partition, message.offset)) continue;
            take_row(peek, row, values, nulls);
            return true;
        }
        if (peek->has_batch) release_batch(peek);
        CHECK_FOR_INTERRUPTS();
        if (!fetch_batch(peek)) return false;
    }
}

int64 peek_bad_count(const Peek* peek) {
    return peek->bad_count;
}

}  // namespace anomaly::pg
