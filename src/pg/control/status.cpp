// What the status views read besides the catalog: the slots of this database's stream workers.
#include "pg/ddl/continuous_ddl.h"
#include "pg/server/catalog.h"
#include "pg/server/guc.h"
#include "pg/server/identity.h"
#include "pg/shared/shmem.h"

namespace anomaly::pg {

namespace {

constexpr int kColumns = 13;

void put_worker(ReturnSetInfo* result, const WorkerView& view) {
    Datum values[kColumns] = {};
    bool nulls[kColumns] = {};
    int column = 0;
    values[column++] = ObjectIdGetDatum(view.key.stream);
    values[column++] = CStringGetTextDatum(stream_state_name(view.state));
    nulls[column] = view.pid == 0;
    values[column++] = Int32GetDatum(view.pid);
    nulls[column] = view.pid == 0;
    values[column++] = TimestampTzGetDatum(view.started_at);
    values[column++] = Int64GetDatum(view.figures.message_count);
    values[column++] = Int64GetDatum(view.figures.byte_count);
    values[column++] = Float8GetDatum(view.message_rate);
    nulls[column] = view.figures.lag < 0;
    values[column++] = Int64GetDatum(view.figures.lag);
    values[column++] = Int64GetDatum(view.figures.dead_letter_count);
    values[column++] = Int32GetDatum(view.figures.reader_count);
    values[column++] = Int64GetDatum(view.figures.memory_bytes);
    nulls[column] = nulls[column + 1] = view.last_error_at == 0;
    if (view.last_error_at != 0) {
        values[column] = CStringGetTextDatum(view.last_error);
        values[column + 1] = TimestampTzGetDatum(view.last_error_at);
    }
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

// Whether nothing runs here, whatever the catalog says of the single streams.
bool database_is_paused() {
    return settings.paused || check_identity() == Identity::kForeign;
}

void require_select(Oid relation) {
    const AclResult result = pg_class_aclcheck(relation, GetUserId(), ACL_SELECT);
    if (result == ACLCHECK_OK) return;
    const char* name = get_rel_name(relation);
    aclcheck_error(result, OBJECT_TABLE, name == NULL ? "unknown" : name);
}

void put_all_workers(ReturnSetInfo* result) {
    const int room = settings.max_streams;
    auto* views = static_cast<WorkerView*>(palloc(sizeof(WorkerView) * room));
    const int count = view_streams(MyDatabaseId, views, room);
    for (int i = 0; i < count; i++) put_worker(result, views[i]);
}

Datum pid_array(const LockHolders& holders) {
    Datum pids[kMaxLockHolders];
    int count = 0;
    for (const int pid : holders.pids) {
        if (pid != 0) pids[count++] = Int32GetDatum(pid);
    }
    return PointerGetDatum(
        construct_array(pids, count, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

void put_all_lock_waits(ReturnSetInfo* result) {
    auto* waits = static_cast<LockWaitView*>(palloc(sizeof(LockWaitView) * kMaxLockWaits));
    const int count = view_lock_waits(MyDatabaseId, waits, kMaxLockWaits);
    for (int i = 0; i < count; i++) {
        Datum values[] = {ObjectIdGetDatum(waits[i].table), TimestampTzGetDatum(waits[i].since),
                          pid_array(waits[i].holders)};
        bool nulls[lengthof(values)] = {};
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
}

// DT_NOBEGIN: none yet.
TimestampTz committed_watermark(Oid table) {
    require_select(table);
    const CatalogArgument argument = argument_oid(REGCLASSOID, table);
    require_continuous_table(table);
    return catalog_select_int("SELECT watermark FROM anomaly.table_progress WHERE relid = $1",
                              &argument, 1, DT_NOBEGIN);
}

}  // namespace

}  // namespace anomaly::pg

ANOMALY_FUNCTION(anomaly_stream_workers) {
    anomaly::pg::require_shmem();
    InitMaterializedSRF(fcinfo, 0);
    anomaly::pg::put_all_workers(reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
    return Datum{0};
}

ANOMALY_FUNCTION(anomaly_lock_waits) {
    anomaly::pg::require_shmem();
    InitMaterializedSRF(fcinfo, 0);
    anomaly::pg::put_all_lock_waits(reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
    return Datum{0};
}

ANOMALY_FUNCTION(anomaly_database_is_paused) {
    anomaly::pg::require_shmem();
    PG_RETURN_BOOL(anomaly::pg::database_is_paused());
}

ANOMALY_FUNCTION(anomaly_watermark) {
    const TimestampTz watermark = anomaly::pg::committed_watermark(PG_GETARG_OID(0));
    if (watermark == DT_NOBEGIN) PG_RETURN_NULL();
    PG_RETURN_TIMESTAMPTZ(watermark);
}
