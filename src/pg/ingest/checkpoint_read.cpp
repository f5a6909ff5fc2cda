// Reads the checkpoint log of a table in its order, by its index and row by row: all of it may be
// as large as the state.
#include "pg/ingest/progress.h"
#include "pg/server/call.h"
#include "pg/server/catalog.h"

namespace anomaly::pg {

namespace {

enum Column { kRelid = 1, kKind, kShard, kSequence, kPart, kData, kColumns = kData };

void restore_row(Relation log, HeapTuple tuple, bridge::Ingest* ingest, int index) {
    Datum values[kColumns];
    bool nulls[kColumns];
    heap_deform_tuple(tuple, RelationGetDescr(log), values, nulls);
    bytea* data = DatumGetByteaP(values[kData - 1]);
    const CheckpointRow row = {
        static_cast<CheckpointKind>(DatumGetInt16(values[kKind - 1])),
        DatumGetInt32(values[kShard - 1]),
        DatumGetInt64(values[kSequence - 1]),
        DatumGetInt32(values[kPart - 1]),
        VARDATA(data),
        static_cast<int32>(VARSIZE(data) - VARHDRSZ),
    };
    check(bridge::ingest_restore(ingest, index, row));
    if (PointerGetDatum(data) != values[kData - 1]) pfree(data);  // it was toasted or short
}

void restore_kind(Relation log, Relation order, Oid table, CheckpointKind kind,
                  bridge::Ingest* ingest, int index) {
    ScanKeyData keys[2];
    ScanKeyInit(&keys[0], kRelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
    ScanKeyInit(&keys[1], kKind, BTEqualStrategyNumber, F_INT2EQ,
                Int16GetDatum(static_cast<int16>(kind)));
    SysScanDesc scan =
        systable_beginscan_ordered(log, order, GetActiveSnapshot(), lengthof(keys), keys);
    HeapTuple tuple;
    while ((tuple = systable_getnext_ordered(scan, ForwardScanDirection)) != NULL) {
        CHECK_FOR_INTERRUPTS();
        restore_row(log, tuple, ingest, index);
    }
    systable_endscan_ordered(scan);
}

}  // namespace

void restore_checkpoint(Oid table, bridge::Ingest* ingest, int index) {
    Relation log = table_open(catalog_relation("checkpoint"), AccessShareLock);
    Relation order = index_open(catalog_relation("checkpoint_pkey"), AccessShareLock);
    PushActiveSnapshot(GetTransactionSnapshot());
    restore_kind(log, order, table, CheckpointKind::kSnapshot, ingest, index);
    restore_kind(log, order, table, CheckpointKind::kDelta, ingest, index);
    PopActiveSnapshot();
    index_close(order, AccessShareLock);
    table_close(log, AccessShareLock);
    check(bridge::ingest_restore_done(ingest, index));
}

}  // namespace anomaly::pg
