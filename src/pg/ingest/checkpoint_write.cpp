// Appends the rows of a commit to the checkpoint log of a table, without a statement for each:
// there may be thousands, of a page each. Indexes and WAL get what an INSERT gives them; triggers
// have no part in the extension's own log.
#include "pg/ingest/progress.h"
#include "pg/server/plan.h"

namespace anomaly::pg {

namespace {

enum Column { kRelid, kKind, kShard, kSequence, kPart, kData, kColumns };

Plan delete_deltas = {
    "DELETE FROM anomaly.checkpoint WHERE relid = $1 AND kind = 1 AND shard = 0 AND sequence < $2",
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
    bytea* data;  // of one row after the other
};

Log open_log() {
    Log log = {};
    log.relation = table_open(catalog_relation("checkpoint"), RowExclusiveLock);
    log.executor = CreateExecutorState();
    log.result = makeNode(ResultRelInfo);
    InitResultRelInfo(log.result, log.relation, 1, NULL, 0);
    ExecOpenIndices(log.result, false);
    log.slot = MakeSingleTupleTableSlot(RelationGetDescr(log.relation), &TTSOpsVirtual);
    log.data = static_cast<bytea*>(palloc(VARHDRSZ + kCheckpointRowBytes));
    return log;
}

void close_log(const Log& log) {
    ExecDropSingleTupleTableSlot(log.slot);
    ExecCloseIndices(log.result);
    FreeExecutorState(log.executor);
    pfree(log.data);
    table_close(log.relation, NoLock);
}

void append_row(const Log& log, Oid table, const CheckpointRow& row) {
    const Size size = VARHDRSZ + static_cast<Size>(row.size);
    SET_VARSIZE(log.data, size);
    memcpy(VARDATA(log.data), row.data, static_cast<size_t>(row.size));
    TupleTableSlot* slot = ExecClearTuple(log.slot);
    memset(slot->tts_isnull, 0, sizeof(bool) * kColumns);
    slot->tts_values[kRelid] = ObjectIdGetDatum(table);
    slot->tts_values[kKind] = Int16GetDatum(static_cast<int16>(row.kind));
    slot->tts_values[kShard] = Int32GetDatum(row.shard);
    slot->tts_values[kSequence] = Int64GetDatum(row.sequence);
    slot->tts_values[kPart] = Int32GetDatum(row.part);
    slot->tts_values[kData] = PointerGetDatum(log.data);
    ExecStoreVirtualTuple(slot);
    table_tuple_insert(log.relation, slot, GetCurrentCommandId(true), 0, NULL);
    insert_index_entries(log.result, slot, log.executor);
    ResetPerTupleExprContext(log.executor);
}

void append_rows(Oid table, const TableChanges* changes) {
    const Log log = open_log();
    for (int i = 0; i < changes->checkpoint_count; i++) {
        CHECK_FOR_INTERRUPTS();
        append_row(log, table, changes->checkpoint[i]);
    }
    close_log(log);
}

}  // namespace

void store_checkpoint(Oid table, const TableChanges* changes) {
    if (changes->checkpoint_count > 0) append_rows(table, changes);
    const CatalogArgument relid = argument_oid(REGCLASSOID, table);
    for (int i = 0; i < changes->checkpoint_count; i++) {
        const CheckpointRow* row = &changes->checkpoint[i];
        if (row->kind != CheckpointKind::kSnapshot || row->part > 0) continue;
        const CatalogArgument older[] = {relid, argument_int4(row->shard),
                                         argument_int8(row->sequence)};
        run_plan(&delete_snapshots, older, lengthof(older), SPI_OK_DELETE);
    }
    if (changes->obsolete_below > 0) {
        const CatalogArgument older[] = {relid, argument_int8(changes->obsolete_below)};
        run_plan(&delete_deltas, older, lengthof(older), SPI_OK_DELETE);
    }
}

}  // namespace anomaly::pg
