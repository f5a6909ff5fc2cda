// anomaly.wait_for_stream and anomaly.close_windows.
#include "bridge/topic.h"

#include "pg/ddl/continuous_ddl.h"
#include "pg/server/call.h"
#include "pg/server/catalog.h"
#include "pg/shared/shmem.h"
#include "pg/shared/wait.h"
#include "pg/shared/wake.h"
#include "pg/stream/stream.h"

namespace anomaly::pg {

namespace {

struct Ends {
    const bridge::PartitionEnds* partitions;
    int32 count;
};

// The question counts whole milliseconds: with these more it never gives up before our deadline,
// with an error in the place of false.
constexpr int kBeyondDeadlineMs = 2;

int remaining_ms(TimestampTz deadline) {
    const int64 left_us = deadline - GetCurrentTimestamp();
    return left_us <= 0 ? 0 : static_cast<int>(Min(left_us / 1000 + 1, INT64CONST(86400000)));
}

void close_ends(void* opaque) {
    bridge::topic_ends_close(*static_cast<bridge::TopicEnds**>(opaque));
}

// False: the time limit came first.
bool ask_ends(const StreamDefinition* definition, TimestampTz deadline, Ends* out) {
    bridge::TopicEnds** ends =
        static_cast<bridge::TopicEnds**>(palloc0(sizeof(bridge::TopicEnds*)));
    MemoryContextCallback* callback =
        static_cast<MemoryContextCallback*>(palloc0(sizeof(MemoryContextCallback)));
    callback->func = close_ends;
    callback->arg = ends;
    const int limit_ms = remaining_ms(deadline);
    if (limit_ms == 0) return false;
    check(bridge::topic_ends_open(definition->spec.topic, definition->properties,
                                  definition->property_count, bridge::kNoTimeAsked,
                                  limit_ms + kBeyondDeadlineMs, ends));
    MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
    for (;;) {
        bool done = false;
        const bridge::Status status =
            bridge::topic_ends_result(*ends, &done, &out->partitions, &out->count);
        if (!status.ok() && remaining_ms(deadline) == 0) return false;
        check(status);
        if (done) return true;
        if (remaining_ms(deadline) == 0) return false;
        wait_for_events(bridge::topic_ends_fd(*ends), deadline);
    }
}

// Positions of all tables of the stream that are still behind the ends. Reads with a snapshot of
// its own, whatever the isolation level of the caller.
bool all_tables_there(Oid stream, const Ends* ends) {
    static const char kStatement[] =
        "SELECT count(*) FROM anomaly.continuous_table c JOIN anomaly.table_progress p "
        "USING (relid), unnest($2::int4[], $3::int8[]) AS e(partition, ends) "
        "WHERE c.stream = $1 AND e.ends > 0 AND NOT EXISTS (SELECT FROM "
        "unnest(p.partitions, p.next_offsets) AS at(partition, next) "
        "WHERE at.partition = e.partition AND at.next >= e.ends)";
    Datum* partitions =
        static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<Size>(ends->count + 1)));
    Datum* offsets =
        static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<Size>(ends->count + 1)));
    for (int i = 0; i < ends->count; i++) {
        const bridge::PartitionEnds* end = &ends->partitions[i];
        partitions[i] = Int32GetDatum(end->partition);
        // An empty partition has nothing to wait for.
        offsets[i] = Int64GetDatum(end->high > end->low ? end->high : 0);
    }
    const CatalogArgument arguments[] = {
        argument_oid(REGCLASSOID, stream),
        {INT4ARRAYOID,
         PointerGetDatum(
             construct_array(partitions, ends->count, INT4OID, sizeof(int32), true, TYPALIGN_INT)),
         false},
        {INT8ARRAYOID,
         PointerGetDatum(
             construct_array(offsets, ends->count, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE)),
         false},
    };
    PushActiveSnapshot(GetLatestSnapshot());
    const int64 behind = catalog_select_int(kStatement, arguments, lengthof(arguments), 0);
    PopActiveSnapshot();
    return behind == 0;
}

void check_stream(Oid stream) {
    require_stream(stream);
    const AclResult result = pg_class_aclcheck(stream, GetUserId(), ACL_SELECT);
    if (result != ACLCHECK_OK) {
        aclcheck_error(result, OBJECT_FOREIGN_TABLE, get_rel_name(stream));
    }
}

}  // namespace

ANOMALY_FUNCTION(anomaly_wait_for_stream) {
    const Oid stream = PG_GETARG_OID(0);
    require_shmem();
    check_stream(stream);
    const TimestampTz deadline = DatumGetTimestampTz(DirectFunctionCall2(
        timestamptz_pl_interval, TimestampTzGetDatum(GetCurrentTimestamp()), PG_GETARG_DATUM(1)));
    Ends ends = {};
    if (!ask_ends(load_stream(stream, NULL), deadline, &ends)) PG_RETURN_BOOL(false);
    ConditionVariablePrepareToSleep(commit_variable());
    bool there = all_tables_there(stream, &ends);
    while (!there && remaining_ms(deadline) > 0) {
        ConditionVariableTimedSleep(commit_variable(), remaining_ms(deadline), PG_WAIT_EXTENSION);
        there = all_tables_there(stream, &ends);
    }
    ConditionVariableCancelSleep();
    PG_RETURN_BOOL(there);
}

ANOMALY_FUNCTION(anomaly_close_windows) {
    const Oid table = PG_GETARG_OID(0);
    require_continuous_table(table);
    if (!owns_object(RelationRelationId, table)) {
        aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(table));
    }
    const CatalogArgument argument = argument_oid(REGCLASSOID, table);
    catalog_execute("UPDATE anomaly.continuous_table SET close_requested = true WHERE relid = $1",
                    &argument, 1, SPI_OK_UPDATE);
    close_windows_at_commit(static_cast<Oid>(catalog_select_int(
        "SELECT stream::oid::bigint FROM anomaly.continuous_table WHERE relid = $1", &argument, 1,
        InvalidOid)));
    PG_RETURN_VOID();
}

}  // namespace anomaly::pg
