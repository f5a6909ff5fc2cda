#include "pg/ingest/replay.h"

#include "pg/server/call.h"
#include "pg/server/catalog.h"
#include "pg/server/plan.h"
#include "pg/shared/extension_lock.h"
#include "pg/shared/shmem.h"
#include "pg/shared/wake.h"

namespace anomaly::pg {

namespace {

constexpr int kLettersAtOnce = 500;

Plan select_letters = {
    "SELECT id, kafka_partition, kafka_offset, kafka_timestamp, message, message_key "
    "FROM anomaly.dead_letter WHERE stream = $1 AND $2 = ANY (replay_for) ORDER BY id LIMIT $3",
    NULL};
Plan begin_letters = {
    "UPDATE anomaly.dead_letter SET replay_for = pg_catalog.array_remove(replay_for, $2) "
    "WHERE id = ANY ($1)",
    NULL};
Plan end_letters = {
    "UPDATE anomaly.dead_letter SET missed_by = pg_catalog.array_remove(missed_by, $2) "
    "WHERE id = ANY ($1)",
    NULL};
Plan ask_again = {
    "UPDATE anomaly.dead_letter SET replay_for = pg_catalog.array_append(replay_for, $2) "
    "WHERE id = ANY ($1)",
    NULL};
Plan delete_letters = {"DELETE FROM anomaly.dead_letter WHERE id = ANY ($1) AND missed_by = '{}'",
                       NULL};

CatalogArgument argument_ids(const Replay* replay) {
    return {INT8ARRAYOID, replay->ids, false};
}

// -1 bytes: null.
const char* bytes_of(Datum datum, bool is_null, int32* size) {
    *size = -1;
    if (is_null) return NULL;
    const bytea* bytes = DatumGetByteaPP(datum);
    *size = static_cast<int32>(VARSIZE_ANY_EXHDR(bytes));
    return VARDATA_ANY(bytes);
}

int64 kafka_time(Datum timestamp, bool is_null) {
    constexpr int64 kEpochMs =
        static_cast<int64>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;
    return is_null ? -1 : DatumGetTimestampTz(timestamp) / 1000 + kEpochMs;
}

// Hands the letters to the bridge, which copies them; their ids go to `context`. Returns how many.
int take_letters(StreamRun* run, RunTable* table, Replay* replay, MemoryContext context) {
    const CatalogArgument arguments[] = {argument_oid(REGCLASSOID, run->stream),
                                         argument_oid(REGCLASSOID, table->relid),
                                         argument_int8(kLettersAtOnce)};
    const int count =
        static_cast<int>(run_plan(&select_letters, arguments, lengthof(arguments), SPI_OK_SELECT));
    bridge::ReplayedMessage* messages = static_cast<bridge::ReplayedMessage*>(
        palloc0(sizeof(bridge::ReplayedMessage) * (static_cast<Size>(count) + 1)));
    Datum* ids = static_cast<Datum*>(palloc(sizeof(Datum) * (static_cast<Size>(count) + 1)));
    for (int i = 0; i < count; i++) {
        Datum values[6];
        bool nulls[6];
        heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
        ids[i] = values[0];
        bridge::ReplayedMessage* message = &messages[i];
        message->partition = DatumGetInt32(values[1]);
        message->offset = DatumGetInt64(values[2]);
        message->timestamp_ms = kafka_time(values[3], nulls[3]);
        message->value = bytes_of(values[4], nulls[4], &message->value_size);
        message->key = bytes_of(values[5], nulls[5], &message->key_size);
    }
    replay->table = table;
    if (count > 0) {
        check(
            bridge::ingest_replay(table->reader->ingest, table->index, messages, count, now_us()));
    }
    const MemoryContext caller = MemoryContextSwitchTo(context);
    replay->ids =
        PointerGetDatum(construct_array(ids, count, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE));
    MemoryContextSwitchTo(caller);
    // A message that ends the worker is not tried again until somebody asks.
    const CatalogArgument begun[] = {argument_ids(replay), arguments[1]};
    if (count > 0) run_plan(&begin_letters, begun, lengthof(begun), SPI_OK_UPDATE);
    ForceSyncCommit();
    return count;
}

bool replay_table(StreamRun* run, RunTable* table) {
    RunReader* reader = table->reader;
    // What was polled commits by itself: its dead letters are those of all tables.
    if (!commit_reader(run, reader)) return false;
    if (table->reader == NULL) return true;
    if (!begin_extension_transaction()) return false;
    Replay replay = {};
    SPI_connect();
    const int count = take_letters(run, table, &replay, reader->context);
    SPI_finish();
    end_extension_transaction();
    table->has_replays = count > 0;
    if (count == 0) return true;
    const bool is_there = judge_batch(run, reader) && commit_reader(run, reader, &replay);
    pfree(DatumGetPointer(replay.ids));
    return is_there;
}

}  // namespace

// The letters are the worker's alone to write: a caller's open transaction must not hold it up.
void take_replay_requests(Oid stream) {
    static Plan mark = {
        "WITH r AS (DELETE FROM anomaly.replay_request WHERE stream = $1 RETURNING reason) "
        "UPDATE anomaly.dead_letter d SET replay_for = d.missed_by FROM r "
        "WHERE d.stream = $1 AND d.reason LIKE r.reason AND d.missed_by <> '{}'",
        NULL};
    const CatalogArgument argument = argument_oid(REGCLASSOID, stream);
    SPI_connect();
    run_plan(&mark, &argument, 1, SPI_OK_UPDATE);
    CommandCounterIncrement();
    SPI_finish();
}

bool replay_letters(StreamRun* run, bool* busy) {
    for (int t = 0; t < run->table_count; t++) {
        RunTable* table = &run->tables[t];
        if (!table->has_replays || table->reader == NULL) continue;
        *busy = true;
        if (!replay_table(run, table)) return false;
    }
    return true;
}

void replay_done(const Replay* replay) {
    const CatalogArgument arguments[] = {argument_ids(replay),
                                         argument_oid(REGCLASSOID, replay->table->relid)};
    run_plan(&end_letters, arguments, lengthof(arguments), SPI_OK_UPDATE);
}

void end_replay(const Replay* replay) {
    const CatalogArgument arguments[] = {argument_ids(replay),
                                         argument_oid(REGCLASSOID, replay->table->relid)};
    run_plan(&delete_letters, arguments, 1, SPI_OK_DELETE);
    // Not a fault of theirs that would come again.
    if (replay->table->lock_waits > 0) {
        run_plan(&ask_again, arguments, lengthof(arguments), SPI_OK_UPDATE);
    }
}

namespace {

// They would be decoded as if they had had none.
void refuse_headers(Oid stream) {
    const StreamSpec* spec = &load_stream(stream, NULL)->spec;
    for (int32 c = 0; c < spec->column_count; c++) {
        if (spec->columns[c].source != Source::kHeaders) continue;
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("dead letters of stream \"%s\" cannot be replayed", get_rel_name(stream)),
                 errdetail("It has a column of headers, which are not kept.")));
    }
}

}  // namespace

ANOMALY_FUNCTION(anomaly_replay_dead_letters) {
    const Oid stream = PG_GETARG_OID(0);
    require_shmem();
    require_stream(stream);
    if (!owns_object(RelationRelationId, stream)) {
        aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_TABLE, get_rel_name(stream));
    }
    refuse_headers(stream);
    const CatalogArgument arguments[] = {argument_oid(REGCLASSOID, stream),
                                         {TEXTOID, PG_GETARG_DATUM(1), false}};
    catalog_execute("INSERT INTO anomaly.replay_request (stream, reason) VALUES ($1, $2)",
                    arguments, lengthof(arguments), SPI_OK_INSERT);
    const int64 count = catalog_select_int(
        "SELECT count(*) FROM anomaly.dead_letter WHERE stream = $1 AND reason LIKE $2 "
        "AND missed_by <> '{}'",
        arguments, lengthof(arguments), 0);
    wake_stream_at_commit(stream);
    PG_RETURN_INT64(count);
}

}  // namespace anomaly::pg
