// Appends the rows of a commit to the checkpoint log of a table, without a statement for each:
// there may be thousands, of a page each. Indexes and WAL get what an INSERT gives them; triggers
// have no part in the extension's own log.
#include "pg/ingest/progress.h"
#include "pg/server/call.h"
#include "pg/server/plan.h"

namespace anomaly::pg {

namespace {

enum Column { kRelid, kKind, kShard, kSequence, kPart, kData, kColumns };

Plan delete_deltas = {
    "DELETE FROM anomaly.checkpoint WHERE relid = $1 AND kind = 1 AND shard = 0 "
    "AND sequence >= $2 AND sequence < $3",
    NULL};
Plan delete_snapshots = {
    "DELETE FROM anomaly.checkpoint WHERE relid = $1 AND kind = 2 AND "
    "shard = $2 AND sequence < $3",
    NULL};

struct Log {
    Relation relation;
    ResultRelInfo* result;
    EState* executor;
    TupleTableSlot* slot;
    BulkInsertState bulk;
};

Log open_log() {
    Log log = {};
    log.relation = table_open(catalog_relation("checkpoint"), RowExclusiveLock);
    log.executor = CreateExecutorState();
    log.result = makeNode(ResultRelInfo);
    InitResultRelInfo(log.result, log.relation, 1, NULL, 0);
    ExecOpenIndices(log.result, false);
    log.slot = MakeSingleTupleTableSlot(RelationGetDescr(log.relation), &TTSOpsVirtual);
    log.bulk = GetBulkInsertState();
    return log;
}

void close_log(const Log& log) {
    ExecDropSingleTupleTableSlot(log.slot);
    ExecCloseIndices(log.result);
    FreeExecutorState(log.executor);
    FreeBulkInsertState(log.bulk);
    table_close(log.relation, NoLock);
}

// The bytes become a bytea where they lie.
bytea* data_of(const CheckpointRow& row) {
    static_assert(kCheckpointRoomBytes == VARHDRSZ);
    char* data = const_cast<char*>(row.data) - VARHDRSZ;
    SET_VARSIZE(data, VARHDRSZ + static_cast<Size>(row.size));
    return reinterpret_cast<bytea*>(data);
}

void append_row(const Log& log, Oid table, const CheckpointRow& row) {
    TupleTableSlot* slot = ExecClearTuple(log.slot);
    memset(slot->tts_isnull, 0, sizeof(bool) * kColumns);
    slot->tts_values[kRelid] = ObjectIdGetDatum(table);
    slot->tts_values[kKind] = Int16GetDatum(static_cast<int16>(row.kind));
    slot->tts_values[kShard] = Int32GetDatum(row.shard);
    slot->tts_values[kSequence] = Int64GetDatum(row.sequence);
    slot->tts_values[kPart] = Int32GetDatum(row.part);
    slot->tts_values[kData] = PointerGetDatum(data_of(row));
    ExecStoreVirtualTuple(slot);
    table_tuple_insert(log.relation, slot, GetCurrentCommandId(true), 0, log.bulk);
    insert_index_entries(log.result, slot, log.executor);
    ResetPerTupleExprContext(log.executor);
}

void remove_older_snapshots(Oid table, const CheckpointRow& row) {
    const CatalogArgument older[] = {argument_oid(REGCLASSOID, table), argument_int4(row.shard),
                                     argument_int8(row.sequence)};
    run_plan(&delete_snapshots, older, lengthof(older), SPI_OK_DELETE);
}

// From the first that is left: the entries of those removed before stay in the index for a while.
void remove_deltas(Oid table, SequenceRange range) {
    if (range.from == range.below) return;
    const CatalogArgument arguments[] = {argument_oid(REGCLASSOID, table),
                                         argument_int8(range.from), argument_int8(range.below)};
    run_plan(&delete_deltas, arguments, lengthof(arguments), SPI_OK_DELETE);
}

const CheckpointRow* next_row(bridge::Ingest* ingest, int index) {
    const CheckpointRow* row = NULL;
    check(bridge::ingest_next_checkpoint_row(ingest, index, &row));
    return row;
}

}  // namespace

void store_checkpoint(Oid table, bridge::Ingest* ingest, int index) {
    const CheckpointRow* row = next_row(ingest, index);
    if (row == NULL) return;
    const Log log = open_log();
    for (; row != NULL; row = next_row(ingest, index)) {
        CHECK_FOR_INTERRUPTS();
        append_row(log, table, *row);
        if (row->kind == CheckpointKind::kSnapshot && row->part == 0)
            remove_older_snapshots(table, *row);
    }
    close_log(log);
    remove_deltas(table, bridge::ingest_take_obsolete(ingest, index));
}

}  // namespace anomaly::pg
