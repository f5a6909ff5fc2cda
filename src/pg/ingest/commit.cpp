// One commit of a reader: the rows, state, positions, late rows and dead letters of its tables,
// then what their rules found and the events, in one transaction.
#include "pg/ingest/stream_run.h"

#include "pg/ddl/continuous_ddl.h"
#include "pg/event/announce.h"
#include "pg/event/event_log.h"
#include "pg/ingest/aggregate_fold.h"
#include "pg/ingest/progress.h"
#include "pg/ingest/replay.h"
#include "pg/query/key_identity.h"
#include "pg/rule/finding_state.h"
#include "pg/rule/rule_evaluate.h"
#include "pg/rule/rule_outcome.h"
#include "pg/server/call.h"
#include "pg/server/catalog.h"
#include "pg/server/subtransaction.h"
#include "pg/shared/extension_lock.h"
#include "pg/shared/shmem.h"
#include "pg/shared/start_mark.h"
#include "pg/table/index_suspects.h"
#include "pg/table/table_writer.h"

namespace anomaly::pg {

namespace {

struct Commit {
    StreamRun* run;
    RunReader* reader;
    const Replay* replay;   // NULL: what was polled
    MemoryContext context;  // for what outlives the tables' subtransactions
    List* events;           // of Event*
    int64 messages;         // taken in since the last commit
    int64 bytes;
    LockPatience patience;
    EventSpan span;
};

// ---- one table ----

struct TablePart {
    Commit* commit;
    RunTable* table;
    const TableChanges* changes;
    int64 rows_written;
    bool is_writing;  // an error now is one of its rows', triggers or indexes
    bool follows;     // findings of rules on update hold, that may end now
    TouchedRows touched;
    List* findings;  // of Finding*
    List* events;
};

// Rules are not under the limit of this: they have one of their own.
void write_rows(TablePart* part) {
    const int nest_level = limit_lock_waits(part->table, part->commit->patience);
    part->is_writing = true;
    if (part->changes->row_count > 0) part->rows_written = write_changes(part->table->writer);
    part->rows_written += expire_rows(part->table->writer, part->changes);
    part->is_writing = false;
    AtEOXact_GUC(false, nest_level);
}

// Rows, triggers and rules are the owner's: everything of his happens before his rights are given
// up, deferred constraints and triggers included (they were set immediate).
void write_as_owner(TablePart* part) {
    Oid user;
    int context;
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(part->table->owner, context | SECURITY_LOCAL_USERID_CHANGE);
    const int nest_level = apply_writer_settings(part->table->writer);
    allow_table_writes(true);
    trim_keys(part->table->identities, part->table->definition->key_count,
              part->commit->reader->ingest, part->table->index);
    SPI_connect();
    if (part->changes->row_count > 0) {
        collect_changes(part->table->writer, {part->commit->reader->ingest, part->table->index});
    }
    write_rows(part);
    allow_table_writes(false);
    CommandCounterIncrement();
    if (part->changes->row_count > 0) {
        evaluate_rules(part->table->rules, part->changes, collected_rows(part->table->writer),
                       part->commit->context, &part->findings);
    }
    const MemoryContext caller = MemoryContextSwitchTo(part->commit->context);
    if (part->follows) collect_touched(part->table->rules, &part->touched);
    MemoryContextSwitchTo(caller);
    if (part->changes->row_count > 0) end_changes(part->table->writer);
    SPI_finish();
    // Not what triggers and rules have set: their SET would last as long as the worker.
    AtEOXact_GUC(false, nest_level);
    SetUserIdAndSecContext(user, context);
}

void write_records(const TablePart* part) {
    const TableChanges* changes = part->changes;
    const RecordSource source = {part->commit->run->stream, part->table->relid,
                                 part->commit->run->definition->spec.topic,
                                 relation_array(&part->table->relid, 1)};
    const Replay* replay = part->commit->replay;
    if (replay != NULL && replay->table == part->table) replay_done(replay);
    store_checkpoint(part->table->relid, part->commit->reader->ingest, part->table->index);
    store_late_rows(&source, changes->late_rows, changes->late_row_count);
    store_dead_letters(&source, changes->dead_letters, changes->dead_letter_count);
    const char* error = NULL;
    const int64 errors =
        changes->row_count > 0 ? writer_error_count(part->table->writer, &error) : 0;
    ProgressCounts counts = {};
    counts.messages = part->commit->messages;
    counts.bytes = part->commit->bytes;
    counts.rows_written = part->rows_written;
    counts.row_errors = errors;
    counts.row_error = error;
    counts.close_done = part->table->close_requested;
    store_progress(part->table->relid, changes, &counts);
}

void look_for_standing(TablePart* part) {
    SPI_connect();
    part->follows = has_standing_findings(part->table->rules);
    SPI_finish();
}

void write_findings(TablePart* part) {
    RuleSet* rules = part->table->rules;
    const MemoryContext target = part->commit->context;
    const int64 watermark = part->changes->progress.watermark;
    const TimestampTz closed_until =
        watermark == kNoTime ? DT_NOBEGIN : watermark - part->table->spec->allowed_lateness_us;
    store_findings(rules, part->findings, part->follows ? &part->touched : NULL, closed_until,
                   target, &part->events);
    store_rule_outcomes(rules, target, &part->events);
}

void table_step(void* opaque) {
    TablePart* part = static_cast<TablePart*>(opaque);
    const bool has_rows = part->changes->row_count > 0;
    if (has_rows && part->table->rules->follows_updates) look_for_standing(part);
    if (has_rows || part->changes->gone_start != kNoTime) write_as_owner(part);
    const int nest_level = limit_lock_waits(part->table, part->commit->patience);
    SPI_connect();
    write_records(part);
    if (has_rows && part->table->rules->count > 0) write_findings(part);
    SPI_finish();
    AtEOXact_GUC(false, nest_level);
}

// Dropped, or made an ordinary table: whoever did it has asked for a reload, which is to come.
void forget_table(Commit* commit, RunTable* table) {
    bridge::ingest_remove_table(commit->reader->ingest, table->index);
    table->reader = NULL;
    table->retry_at_us = PG_INT64_MAX;
}

// What is done from now on is done as the new owner; expressions follow with the next load.
void follow_owner(const Commit* commit, RunTable* table) {
    const Oid owner = relation_owner(table->relid);
    if (owner == table->owner) return;
    table->owner = owner;
    table->rights = 0;
    wake_stream(MyDatabaseId, commit->run->stream);
}

// Whoever gave the table away, or moved it, need not know as whom it is written; nor whoever reads
// "division by zero" that an index divides.
const char* failure_text(const TablePart& part, const ErrorData* error) {
    const RunTable* table = part.table;
    if (error->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE) {
        const char* indexes = part.is_writing ? computing_indexes(table->relid) : NULL;
        if (indexes == NULL) return error->message;
        return psprintf("%s: look also at what is computed for each row by its indexes: %s",
                        error->message, indexes);
    }
    return psprintf("%s: grant that to role \"%s\", the table's owner, as whom it is written",
                    error->message, GetUserNameFromId(table->owner, true));
}

void commit_table(Commit* commit, RunTable* table) {
    if (!has_guard(table->relid)) {
        forget_table(commit, table);
        return;
    }
    follow_owner(commit, table);
    const char* missing = missing_right(table);
    if (missing != NULL) {
        freeze_table(table, missing);
        return;
    }
    TablePart part = {};
    part.commit = commit;
    part.table = table;
    part.changes = bridge::ingest_changes(commit->reader->ingest, table->index);
    ErrorData* error = run_in_subtransaction(table_step, &part, Containment::kTable);
    allow_table_writes(false);
    if (error == NULL) {
        table->failures = 0;
        table->needs_bytes = 0;
        end_lock_wait(table);
        const MemoryContext caller = MemoryContextSwitchTo(commit->context);
        commit->events = list_concat(commit->events, part.events);
        MemoryContextSwitchTo(caller);
        return;
    }
    if (!leave_for_lock(table, error, &commit->patience)) {
        freeze_table(table, failure_text(part, error));
    }
    FreeErrorData(error);
}

// The tables that have passed the messages of this commit. One whose part has failed meets them
// again.
Datum tables_past(const Commit* commit) {
    Oid* relids =
        static_cast<Oid*>(palloc(sizeof(Oid) * (static_cast<Size>(commit->run->table_count) + 1)));
    int count = 0;
    for (int t = 0; t < commit->run->table_count; t++) {
        const RunTable* table = &commit->run->tables[t];
        if (table->reader != commit->reader) continue;
        if (commit->replay == NULL || commit->replay->table == table) {
            relids[count++] = table->relid;
        }
    }
    return relation_array(relids, count);
}

bool has_dead_letters(const Commit* commit) {
    for (int t = 0; t < commit->run->table_count; t++) {
        const RunTable* table = &commit->run->tables[t];
        if (table->reader == commit->reader &&
            bridge::ingest_changes(commit->reader->ingest, table->index)->dead_letter_count > 0) {
            return true;
        }
    }
    return false;
}

void write_stream_records(const Commit* commit, const LostRecords* lost) {
    RecordSource source = {commit->run->stream, InvalidOid, commit->run->definition->spec.topic,
                           tables_past(commit)};
    const DeadLetter* letters = NULL;
    int32 count = 0;
    bridge::ingest_dead_letters(commit->reader->ingest, &letters, &count);
    SPI_connect();
    store_dead_letters(&source, letters, count);
    if (commit->replay != NULL) end_replay(commit->replay);
    if (count > 0 || has_dead_letters(commit)) trim_dead_letters(source.stream);
    for (int t = 0; t < commit->run->table_count && lost->count > 0; t++) {
        if (commit->run->tables[t].reader != commit->reader) continue;
        source.table = commit->run->tables[t].relid;
        store_lost_ranges(&source, lost->ranges, lost->count);
    }
    SPI_finish();
}

void write_all(Commit* commit) {
    ConstraintsSetStmt* all_immediate = makeNode(ConstraintsSetStmt);
    AfterTriggerSetState(all_immediate);
    for (int t = 0; t < commit->run->table_count; t++) {
        RunTable* table = &commit->run->tables[t];
        if (table->reader == commit->reader) commit_table(commit, table);
    }
    write_stream_records(commit, commit->reader->lost);
    SPI_connect();
    clear_start_mark_in_commit(commit->run->stream);
    commit->span = write_events(commit->events);
    SPI_finish();
}

// Without events a crash may forget the commit: rows and positions go together, and the messages
// are read again. With events it must be on disk before anyone hears of it.
void choose_durability(const Commit* commit) {
    if (commit->span.count == 0) {
        set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
                          true, 0, false);
    }
}

void finish(Commit* commit) {
    RunReader* reader = commit->reader;
    check(bridge::ingest_committed(reader->ingest));
    reader->last_commit_us = now_us();
    reader->rows_since_commit = 0;
    reader->bytes_since_commit = 0;
    reader->wants_commit = false;
    for (int i = 0; i < reader->lost->count; i++) {
        pfree(const_cast<char*>(reader->lost->ranges[i].reason));
    }
    reader->lost->count = 0;
    for (int t = 0; t < commit->run->table_count; t++) {
        if (commit->run->tables[t].reader == reader) commit->run->tables[t].close_requested = false;
    }
    pgstat_report_stat(true);
    broadcast_commit();
    announce_events(commit->span);
}

}  // namespace

void freeze_table(RunTable* table, const char* error) {
    bridge::ingest_remove_table(table->reader->ingest, table->index);
    table->reader = NULL;
    fail_table(table, error);
}

void fail_table(RunTable* table, const char* error) {
    constexpr int64 kFirstRetryUs = 200000;
    constexpr int64 kLastRetryUs = 60000000;
    const int shift = Min(table->failures, 10);
    end_lock_wait(table);
    table->failures++;
    table->retry_at_us = now_us() + Min(kFirstRetryUs << shift, kLastRetryUs);
    SPI_connect();
    const bool is_new = store_failure(table->relid, error);
    SPI_finish();
    if (is_new) {
        ereport(LOG, (errmsg("continuous table \"%s\" is failing: %s", get_rel_name(table->relid),
                             error),
                      errdetail("It stays at its position and is tried again.")));
    }
}

bool commit_reader(StreamRun* run, RunReader* reader, const Replay* replay) {
    if (!fold_aggregates(run, reader)) return false;
    check(bridge::ingest_prepare_commit(reader->ingest, now_us()));
    const MemoryContext caller = CurrentMemoryContext;
    Commit commit = {};
    commit.run = run;
    commit.reader = reader;
    commit.replay = replay;
    commit.messages = reader->rows_since_commit;
    commit.bytes = reader->bytes_since_commit;
    commit.patience = lock_patience();
    if (!begin_locked_transaction(run, reader, &commit.patience)) return false;
    commit.context = CurTransactionContext;
    write_all(&commit);
    choose_durability(&commit);
    end_extension_transaction();
    MemoryContextSwitchTo(caller);
    finish(&commit);
    return true;
}

}  // namespace anomaly::pg
