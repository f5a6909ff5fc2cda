// Opens, joins and closes the readers of a stream worker.
#include "bridge/topic.h"

#include "pg/ingest/progress.h"
#include "pg/ingest/stream_run.h"
#include "pg/query/key_identity.h"
#include "pg/server/call.h"
#include "pg/server/guc.h"
#include "pg/server/subtransaction.h"
#include "pg/shared/extension_lock.h"
#include "pg/shared/shmem.h"
#include "pg/shared/start_mark.h"
#include "pg/shared/wait.h"

namespace anomaly::pg {

namespace {

constexpr int kTopicQuestionMs = 10000;

// The name says what the broker's own logs and tools show of us.
bridge::IngestOptions ingest_options(const StreamDefinition* definition) {
    bridge::IngestOptions options = {};
    options.properties = definition->properties;
    options.property_count = definition->property_count;
    options.batch_rows = is_careful() ? 1 : settings.batch_rows;
    options.database_is_utf8 = GetDatabaseEncoding() == PG_UTF8;
    options.batch_bytes = static_cast<int64_t>(settings.batch_kb) * 1024;
    return options;
}

RunReader* make_reader(StreamRun* run) {
    MemoryContext context =
        AllocSetContextCreate(run->context, "anomaly reader", ALLOCSET_DEFAULT_SIZES);
    RunReader* reader = static_cast<RunReader*>(MemoryContextAllocZero(context, sizeof(RunReader)));
    reader->context = context;
    reader->lost = static_cast<LostRecords*>(MemoryContextAllocZero(context, sizeof(LostRecords)));
    constexpr int kFirstLostRanges = 16;
    reader->lost->capacity = kFirstLostRanges;
    reader->lost->ranges = static_cast<bridge::LostRange*>(
        MemoryContextAlloc(context, sizeof(bridge::LostRange) * kFirstLostRanges));
    reader->last_commit_us = now_us();
    reader->deadline_us = PG_INT64_MAX;
    return reader;
}

void add_expressions(RunReader* reader, const RunTable* table) {
    for (int e = 0; e < expression_count(table->definition); e++) {
        const Expr* expr = expression_at(table->definition, e);
        if (expr == NULL) continue;
        const int k = e - bridge::expression_key(0);
        const bool is_key = k >= 0 && k < table->definition->key_count;
        referee_add_expression(reader->referee, table->index, e, expr,
                               table->definition->stream_varno, {table->owner, table->settings},
                               is_key ? table->identities[k] : NULL);
    }
}

void renew_expressions(StreamRun* run, RunReader* reader) {
    referee_clear_expressions(reader->referee);
    for (int t = 0; t < run->table_count; t++) {
        if (run->tables[t].reader == reader) add_expressions(reader, &run->tables[t]);
    }
}

// Reading values may call functions of the owner's.
void learn_keys_as_owner(const RunReader* reader, const RunTable* table) {
    Oid user;
    int context;
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(table->owner,
                           context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
    learn_keys(table->identities, table->definition->key_count, reader->ingest, table->index);
    SetUserIdAndSecContext(user, context);
}

struct Addition {
    RunReader* reader;
    RunTable* table;
};

void restore_step(void* opaque) {
    const Addition* addition = static_cast<const Addition*>(opaque);
    const RunTable* table = addition->table;
    restore_checkpoint(table->relid, addition->reader->ingest, table->index);
    learn_keys_as_owner(addition->reader, table);
}

// A table whose state cannot be restored is failing.
void add_table(RunReader* reader, RunTable* table) {
    check(bridge::ingest_add_table(reader->ingest, *table->spec, table->progress, &table->index));
    table->reader = reader;
    Addition addition = {reader, table};
    ErrorData* error = run_in_subtransaction(restore_step, &addition, Containment::kTable);
    if (error != NULL) {
        freeze_table(table, error->message);
        FreeErrorData(error);
        return;
    }
    add_expressions(reader, table);
    if (table->close_requested) bridge::ingest_close_windows(reader->ingest, table->index);
}

void remove_from_list(StreamRun* run, RunReader* reader) {
    int kept = 0;
    for (int r = 0; r < run->reader_count; r++) {
        if (run->readers[r] != reader) run->readers[kept++] = run->readers[r];
    }
    run->reader_count = kept;
}

}  // namespace

void publish_unreachable(const char* error) {
    if (!publish_error(StreamState::kUnreachable, error)) return;
    ereport(LOG, (errmsg("anomaly cannot reach the broker: %s", error)));
}

bool open_reader(StreamRun* run, RunTable** tables, int count) {
    if (!begin_extension_transaction()) return false;
    const MemoryContext caller = MemoryContextSwitchTo(run->context);
    RunReader* reader = make_reader(run);
    reader->referee = referee_create(run->definition, run->definition->owner, reader->context);
    check(bridge::ingest_open(run->definition->spec, ingest_options(run->definition),
                              &reader->ingest));
    run->readers[run->reader_count++] = reader;
    for (int t = 0; t < count; t++) {
        load_progress(tables[t]->relid, &tables[t]->progress);
        add_table(reader, tables[t]);
    }
    const TableProgress* from = &tables[0]->progress;  // as that of the others
    if (has_tables(run, reader)) {
        check(bridge::ingest_start(reader->ingest, from->partitions, from->partition_count,
                                   kOffsetBeginning));
    } else {
        close_reader(run, reader);
    }
    MemoryContextSwitchTo(caller);
    end_extension_transaction();
    return true;
}

bool has_tables(const StreamRun* run, const RunReader* reader) {
    for (int t = 0; t < run->table_count; t++) {
        if (run->tables[t].reader == reader) return true;
    }
    return false;
}

void close_reader(StreamRun* run, RunReader* reader) {
    remove_from_list(run, reader);
    bridge::ingest_close(reader->ingest);
    forget_waited_fds();
    MemoryContextDelete(reader->context);
}

void close_all_readers(StreamRun* run) {
    while (run->reader_count > 0) close_reader(run, run->readers[0]);
}

bool judge_batch(StreamRun* run, RunReader* reader) {
    const List* broken = referee_run(reader->referee, reader->ingest);
    if (broken == NIL) return true;
    const MemoryContext caller = CurrentMemoryContext;
    if (!begin_extension_transaction()) return false;
    ListCell* cell;
    foreach (cell, broken) {
        const BrokenTable* entry = static_cast<const BrokenTable*>(lfirst(cell));
        for (int t = 0; t < run->table_count; t++) {
            RunTable* table = &run->tables[t];
            if (table->reader != reader || table->index != entry->table) continue;
            freeze_table(table, entry->reason);
            break;
        }
    }
    end_extension_transaction();
    MemoryContextSwitchTo(caller);
    return true;
}

bool join_readers(StreamRun* run, RunReader* to, RunReader* from) {
    if (!begin_extension_transaction()) return false;
    int32 moved_by = 0;
    check(bridge::ingest_join(to->ingest, from->ingest, &moved_by));
    for (int t = 0; t < run->table_count; t++) {
        RunTable* table = &run->tables[t];
        if (table->reader != from) continue;
        table->reader = to;
        table->index += moved_by;
    }
    renew_expressions(run, to);
    close_reader(run, from);
    end_extension_transaction();
    return true;
}

bool at_equal_positions(const RunTable* a, const RunTable* b) {
    if (a->progress.partition_count != b->progress.partition_count) return false;
    for (int i = 0; i < a->progress.partition_count; i++) {
        if (a->progress.partitions[i].partition != b->progress.partitions[i].partition ||
            a->progress.partitions[i].next_offset != b->progress.partitions[i].next_offset) {
            return false;
        }
    }
    return true;
}

namespace {

// Whatever else may set the latch meanwhile.
void wait_out(int64 pause_us) {
    const int64 until_us = now_us() + pause_us;
    while (now_us() < until_us) wait_for_events(-1, until_us);
}

// Waits for the broker as long as it takes; only the broker knows where the topic ends.
const bridge::PartitionEnds* ask_ends(const StreamDefinition* definition, int64 from_ms,
                                      bridge::TopicEnds** ends, int32* count) {
    constexpr int64 kLongestPauseUs = 10 * USECS_PER_SEC;
    const bridge::PartitionEnds* partitions = NULL;
    for (int64 pause_us = USECS_PER_SEC / 4;; pause_us = Min(2 * pause_us, kLongestPauseUs)) {
        check(bridge::topic_ends_open(definition->spec.topic, definition->properties,
                                      definition->property_count, from_ms, kTopicQuestionMs, ends));
        bool done = false;
        bridge::Status status;
        do {
            wait_for_events(bridge::topic_ends_fd(*ends), PG_INT64_MAX);
            status = bridge::topic_ends_result(*ends, &done, &partitions, count);
        } while (status.ok() && !done);
        forget_waited_fds();
        if (status.ok()) return partitions;
        publish_unreachable(status.text);
        bridge::topic_ends_close(*ends);
        wait_out(pause_us);
    }
}

PartitionProgress start_at(int32 partition, int64 offset) {
    return {partition, offset, -1, 0, kNoTime};
}

}  // namespace

bool resolve_start(StreamRun* run, RunTable* table) {
    if (table->progress.partition_count > 0 || table->progress.sequence > 0) return true;
    const Startup startup =
        table->start != NULL ? parse_startup(table->start) : run->definition->startup;
    if (startup.kind == StartupKind::kEarliest) return true;
    TableProgress progress = table->progress;
    PartitionProgress* partitions = NULL;
    bridge::TopicEnds* ends = NULL;
    if (startup.kind == StartupKind::kOffsets) {
        progress.partitions = startup.partitions;
        progress.partition_count = startup.partition_count;
    } else {
        int32 count = 0;
        const bool at_time = startup.kind == StartupKind::kTime;
        const bridge::PartitionEnds* found = ask_ends(
            run->definition, at_time ? startup.from_ms : bridge::kNoTimeAsked, &ends, &count);
        partitions = static_cast<PartitionProgress*>(MemoryContextAllocZero(
            run->context, sizeof(PartitionProgress) * static_cast<Size>(count + 1)));
        for (int i = 0; i < count; i++) {
            partitions[i] = start_at(found[i].partition, at_time ? found[i].from : found[i].high);
        }
        bridge::topic_ends_close(ends);
        progress.partitions = partitions;
        progress.partition_count = count;
    }
    if (!begin_extension_transaction()) return false;
    SPI_connect();
    store_start(table->relid, &progress);
    SPI_finish();
    end_extension_transaction();
    table->progress = progress;
    return true;
}

}  // namespace anomaly::pg
