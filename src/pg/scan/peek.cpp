// Waits on the broker with the latch beside it, so that the statement can always be cancelled.
#include "bridge/topic.h"

#include "pg/scan/peek.h"

#include "pg/evaluate/referee.h"
#include "pg/server/call.h"
#include "pg/server/guc.h"

namespace anomaly::pg {

struct Peek {
    const StreamDefinition* stream;
    MemoryContext context;
    MemoryContextCallback on_reset;
    bridge::TopicEnds* question;  // while it is asked
    bridge::Ingest* ingest;       // NULL: nothing is to be read
    Referee* referee;
    bridge::PartitionEnds* ends;  // as they were when the read began
    int32_t partition_count;
    int64 from_ms;  // what the ends were asked with
    PeekRange* ranges;
    int range_count;
    const int32* rows;  // good rows of the batch at hand
    int32 row_count;
    int32 next_row;
    bool has_batch;  // folded, not yet let go
    int64 bad_count;
    int64 message_count;  // of readers that are closed
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

void check_answer(const StreamDefinition* stream, const bridge::Status& status) {
    if (status.code != bridge::Code::kNoTopic) {
        check(status);
        return;
    }
    ereport(ERROR, (errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
                    errmsg("topic \"%s\" cannot be read", stream->spec.topic),
                    errdetail("%s.", status.text),
                    errhint("Create it in Kafka, or set option topic of %s to one that there is.",
                            stream->name)));
}

// The answer lives until the question is closed.
const bridge::PartitionEnds* ask(Peek* peek, int64 from_ms, int32* count) {
    const StreamDefinition* stream = peek->stream;
    check(bridge::topic_ends_open(stream->spec.topic, stream->properties, stream->property_count,
                                  from_ms, settings.peek_time_limit_ms, &peek->question));
    // The question has the time limit itself, and words for what went wrong; ours is for its
    // thread.
    const TimestampTz time_limit_us = time_limit_from_now() + USECS_PER_SEC;
    const bridge::PartitionEnds* ends = NULL;
    for (bool done = false; !done;) {
        check_answer(stream, bridge::topic_ends_result(peek->question, &done, &ends, count));
        if (done) break;
        wait_for_broker(peek, bridge::topic_ends_fd(peek->question), PG_INT64_MAX, time_limit_us);
    }
    return ends;
}

// The ends stay as they were at first; where a time lies is asked when another one is wanted.
void ask_ends(Peek* peek, int64 from_ms) {
    if (peek->ends != NULL && from_ms == peek->from_ms) return;
    int32 count = 0;
    const bridge::PartitionEnds* answer = ask(peek, from_ms, &count);
    if (peek->ends == NULL) {
        const Size size = sizeof(bridge::PartitionEnds) * (static_cast<Size>(count) + 1);
        peek->ends =
            static_cast<bridge::PartitionEnds*>(MemoryContextAllocZero(peek->context, size));
        peek->ranges = static_cast<PeekRange*>(MemoryContextAllocZero(
            peek->context, sizeof(PeekRange) * (static_cast<Size>(count) + 1)));
        memcpy(peek->ends, answer, sizeof(bridge::PartitionEnds) * static_cast<Size>(count));
        peek->partition_count = count;
    }
    for (int32 p = 0; p < Min(count, peek->partition_count); p++) {
        peek->ends[p].from = answer[p].from;
    }
    peek->from_ms = from_ms;
    bridge::topic_ends_close(peek->question);
    peek->question = NULL;
}

// A limit on all messages is shared among the partitions that have any.
int64 newest_of_each(const Peek* peek, const ScanBounds* bounds) {
    int64 count = 0;
    for (int32 p = 0; p < peek->partition_count; p++) {
        if (peek->ends[p].low < peek->ends[p].high) count++;
    }
    return Max(bounds->newest / Max(count, 1), 1);
}

void choose_ranges(Peek* peek, const ScanBounds* bounds) {
    peek->range_count = 0;
    const int64 newest = newest_of_each(peek, bounds);
    for (int32 p = 0; p < peek->partition_count; p++) {
        const bridge::PartitionEnds* ends = &peek->ends[p];
        if (!scan_has_partition(bounds, ends->partition)) continue;
        int64 from = Max(ends->low, bounds->offset_from);
        if (bounds->from_ms != bridge::kNoTimeAsked) from = Max(from, ends->from);
        const int64 to = Min(ends->high, bounds->offset_to);
        if (to > newest) from = Max(from, to - newest);
        if (from < to) peek->ranges[peek->range_count++] = {ends->partition, from, to};
    }
}

void start(Peek* peek, const ScanBounds* bounds) {
    if (!bounds->nothing) ask_ends(peek, bounds->from_ms);
    choose_ranges(peek, bounds);
    if (peek->range_count == 0) return;
    bridge::IngestOptions options = {};
    options.properties = peek->stream->properties;
    options.property_count = peek->stream->property_count;
    options.batch_rows = settings.batch_rows;
    options.batch_bytes = static_cast<int64_t>(settings.batch_kb) * 1024;
    options.database_is_utf8 = GetDatabaseEncoding() == PG_UTF8;
    check(bridge::ingest_open(peek->stream->spec, options, &peek->ingest));
    PartitionProgress* starts = static_cast<PartitionProgress*>(
        palloc0(sizeof(PartitionProgress) * (static_cast<Size>(peek->range_count) + 1)));
    for (int r = 0; r < peek->range_count; r++) {
        const PeekRange* range = &peek->ranges[r];
        starts[r] = {range->partition, range->from, -1, 0, kNoTime};
        check(bridge::ingest_read_until(peek->ingest, range->partition, range->to));
    }
    check(bridge::ingest_start(peek->ingest, starts, peek->range_count, kOffsetUnread));
    pfree(starts);
}

const PeekRange* find_range(const Peek* peek, int32 partition) {
    for (int r = 0; r < peek->range_count; r++) {
        if (peek->ranges[r].partition == partition) return &peek->ranges[r];
    }
    return NULL;
}

bool is_complete(const Peek* peek) {
    const PartitionProgress* positions = NULL;
    int32 count = 0;
    bridge::ingest_positions(peek->ingest, &positions, &count);
    for (int r = 0; r < peek->range_count; r++) {
        bool reached = false;
        for (int32 i = 0; i < count && !reached; i++) {
            reached = positions[i].partition == peek->ranges[r].partition &&
                      positions[i].next_offset >= peek->ranges[r].to;
        }
        if (!reached) return false;
    }
    return true;
}

// Bad messages before the last row that was given out; the rows of a message lie together.
int32 count_bad_before(const Peek* peek) {
    const int32 last = peek->next_row == 0 ? 0 : peek->rows[peek->next_row - 1];
    int32 count = 0;
    int32 good = 0;
    bridge::RawMessage previous = {};
    previous.offset = -1;
    for (int32 row = 0; row < last; row++) {
        if (row == peek->rows[good]) {
            good++;
            continue;
        }
        const bridge::RawMessage message = bridge::ingest_message(peek->ingest, row);
        if (message.partition != previous.partition || message.offset != previous.offset) count++;
        previous = message;
    }
    return count;
}

// Lets go of the batch at hand and counts what was bad in it: all, or (where the scan ends before
// the batch does) up to the last row that was given out.
void release_batch(Peek* peek, bool is_read) {
    check(bridge::ingest_prepare_commit(peek->ingest, GetCurrentTimestamp()));
    const DeadLetter* letters = NULL;
    int32 count = 0;
    bridge::ingest_dead_letters(peek->ingest, &letters, &count);
    peek->bad_count += is_read ? count : count_bad_before(peek);
    check(bridge::ingest_committed(peek->ingest));
    peek->has_batch = false;
    peek->rows = NULL;
    peek->row_count = peek->next_row = 0;
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
        const PeekRange* range = find_range(peek, lost.partition);
        if (range == NULL || lost.from_offset >= range->to) continue;
        ereport(ERROR,
                (errcode(ERRCODE_CONNECTION_FAILURE),
                 errmsg("messages of topic \"%s\" were gone before they could be read",
                        peek->stream->spec.topic),
                 errdetail("Partition %d, offsets " INT64_FORMAT " to " INT64_FORMAT ": %s.",
                           lost.partition, lost.from_offset, lost.to_offset - 1, lost.reason),
                 errhint("Try again.")));
    }
}

[[noreturn]] void topic_is_shorter(const Peek* peek) {
    ereport(ERROR,
            (errcode(ERRCODE_CONNECTION_FAILURE),
             errmsg("topic \"%s\" is shorter than it was when the read began",
                    peek->stream->spec.topic),
             errdetail("It was made again, or its messages were deleted."), errhint("Try again.")));
}

// Until a batch is there (true) or all was read (false).
bool fetch_batch(Peek* peek) {
    const TimestampTz time_limit_us = time_limit_from_now();
    for (;;) {
        bridge::PollResult result;
        check(bridge::ingest_poll(peek->ingest, GetCurrentTimestamp(), &result));
        check_poll(peek, result);
        if (result.has_batch) break;
        // Control records at the end of a partition are no messages: the broker's word moves past.
        if (is_complete(peek)) return false;
        if (result.all_at_end) topic_is_shorter(peek);
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

Peek* peek_open(const StreamDefinition* stream, const ScanBounds* bounds) {
    Peek* peek = static_cast<Peek*>(palloc0(sizeof(Peek)));
    peek->stream = stream;
    peek->context = CurrentMemoryContext;
    // Before there is anything to close: nothing may fail between an open and this.
    peek->on_reset.func = close_handles;
    peek->on_reset.arg = peek;
    MemoryContextRegisterResetCallback(peek->context, &peek->on_reset);
    peek->referee = referee_create(stream, GetUserId(), peek->context);
    start(peek, bounds);
    return peek;
}

void peek_close(Peek* peek) {
    if (peek->has_batch) release_batch(peek, false);
    peek->message_count = peek_message_count(peek);
    close_handles(peek);
}

void peek_restart(Peek* peek, const ScanBounds* bounds) {
    peek_close(peek);
    start(peek, bounds);
}

bool peek_next(Peek* peek, Datum* values, bool* nulls) {
    if (peek->ingest == NULL) return false;
    for (;;) {
        if (peek->next_row < peek->row_count) {
            take_row(peek, peek->rows[peek->next_row++], values, nulls);
            return true;
        }
        if (peek->has_batch) release_batch(peek, true);
        CHECK_FOR_INTERRUPTS();
        if (is_complete(peek) || !fetch_batch(peek)) return false;
    }
}

bridge::RawMessage peek_message(const Peek* peek) {
    return bridge::ingest_message(peek->ingest, peek->rows[peek->next_row - 1]);
}

int64 peek_bad_count(const Peek* peek) {
    return peek->bad_count;
}

const PeekRange* peek_ranges(const Peek* peek, int* count) {
    *count = peek->range_count;
    return peek->ranges;
}

int peek_partition_count(const Peek* peek) {
    return peek->partition_count;
}

int64 peek_message_count(const Peek* peek) {
    const int64 now = peek->ingest == NULL ? 0 : bridge::ingest_stats(peek->ingest).message_count;
    return peek->message_count + now;
}

}  // namespace anomaly::pg
