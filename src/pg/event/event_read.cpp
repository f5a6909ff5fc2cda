// anomaly.events_since, and the consumers whose position the database keeps. The log is read with
// the superuser's rights; what a caller may see of it is decided here.
#include "pg/event/event_head.h"
#include "pg/server/catalog.h"

namespace anomaly::pg {

namespace {

// Events after a position were removed.
constexpr int kEventsRemoved = MAKE_SQLSTATE('Z', 'A', '0', '0', '1');

// $1: after, $2: the caller, $3: how many. Of a continuous table, its owner reads the events and
// whoever may SELECT all of it (row security would hide some rows of it); the others, such as those
// of a table that was dropped, who may read everything.
constexpr char kEvents[] =
    "SELECT e.seq, e.kind, e.id, e.finding, coalesce(f.rule, e.rule), "
    "coalesce(f.table_name, e.table_name), f.series, f.window_start, f.window_end, f.severity, "
    "f.value, f.threshold, coalesce(f.message, e.message), e.recorded_at "
    "FROM anomaly.alert_event e LEFT JOIN anomaly.finding_log f ON f.id = e.finding "
    "WHERE e.seq > $1 AND (pg_has_role($2, 'pg_read_all_data', 'USAGE') OR EXISTS "
    "(SELECT FROM anomaly.continuous_table k JOIN pg_class c ON c.oid = k.relid "
    "WHERE k.id = e.table_id AND (pg_has_role($2, c.relowner, 'USAGE') OR "
    "(NOT c.relrowsecurity AND has_table_privilege($2, c.oid, 'SELECT'))))) "
    "ORDER BY e.seq LIMIT $3";

void raise_removed(int64 position, int64 removed_seq) {
    ereport(
        ERROR,
        (errcode(kEventsRemoved),
         errmsg("events after position %lld have been removed", static_cast<long long>(position)),
         errdetail("Events up to %lld are older than anomaly.event_retention.",
                   static_cast<long long>(removed_seq)),
         errhint("Look into anomaly.finding_log for what was missed, then go on from %lld.",
                 static_cast<long long>(removed_seq))));
}

void copy_events(FunctionCallInfo fcinfo, int64 position, int32 max_events, Oid caller) {
    ReturnSetInfo* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    ParamListInfo parameters = makeParamList(3);
    parameters->params[0] = {Int64GetDatum(position), false, PARAM_FLAG_CONST, INT8OID};
    parameters->params[1] = {ObjectIdGetDatum(caller), false, PARAM_FLAG_CONST, OIDOID};
    parameters->params[2] = {Int64GetDatum(max_events), false, PARAM_FLAG_CONST, INT8OID};
    DestReceiver* receiver = CreateDestReceiver(DestTuplestore);
    SetTuplestoreDestReceiverParams(receiver, result->setResult,
                                    result->econtext->ecxt_per_query_memory, false, NULL, NULL);
    SPIExecuteOptions options = {};
    options.params = parameters;
    options.read_only = true;
    options.dest = receiver;
    if (SPI_execute_extended(kEvents, &options) != SPI_OK_SELECT) {
        elog(ERROR, "cannot read anomaly.alert_event");
    }
}

// Both as the active snapshot sees them: nothing can be removed in between.
void return_events(FunctionCallInfo fcinfo, int64 position, int32 max_events) {
    const Oid caller = GetUserId();
    InitMaterializedSRF(fcinfo, 0);
    const CatalogSession session = begin_catalog_session();
    SPI_connect();
    const EventHead head = read_event_head();
    if (position < head.removed_seq) raise_removed(position, head.removed_seq);
    copy_events(fcinfo, position, max_events, caller);
    SPI_finish();
    end_catalog_session(session);
}

EventHead current_head() {
    const CatalogSession session = begin_catalog_session();
    SPI_connect();
    PushActiveSnapshot(GetTransactionSnapshot());
    const EventHead head = read_event_head();
    PopActiveSnapshot();
    SPI_finish();
    end_catalog_session(session);
    return head;
}

void refuse_nulls(FunctionCallInfo fcinfo, const char* first) {
    if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1)) return;
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                    errmsg("%s must not be NULL", PG_ARGISNULL(0) ? first : "max_events")));
}

// Locks it until the end of the transaction, or two processes of one consumer would do everything
// twice; on a standby there is only looking.
void open_consumer(const char* name) {
    const CatalogArgument argument = argument_text(name);
    const Oid owner = static_cast<Oid>(catalog_select_int(
        psprintf("SELECT owner::oid::bigint FROM anomaly.consumer WHERE name = $1%s",
                 XactReadOnly ? "" : " FOR NO KEY UPDATE"),
        &argument, 1, InvalidOid));
    if (!OidIsValid(owner)) {
        ereport(ERROR,
                (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("consumer \"%s\" does not exist", name),
                 errhint("Make it with anomaly.create_consumer.")));
    }
    if (!has_privs_of_role(GetUserId(), owner)) {
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("must be owner of consumer \"%s\"", name)));
    }
}

int64 start_position(const char* start) {
    const EventHead head = current_head();
    if (strcmp(start, "latest") == 0) return head.seq;
    if (strcmp(start, "earliest") == 0) return head.removed_seq;
    if (start[0] == '\0' || strspn(start, "0123456789") != strlen(start)) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("\"%s\" is no place to start", start),
                        errhint("It is earliest, latest or a position.")));
    }
    const int64 position = DatumGetInt64(DirectFunctionCall1(int8in, CStringGetDatum(start)));
    if (position < head.removed_seq) raise_removed(position, head.removed_seq);
    return position;
}

}  // namespace

ANOMALY_FUNCTION(anomaly_events_since) {
    refuse_nulls(fcinfo, "seq");
    return_events(fcinfo, PG_GETARG_INT64(0), PG_GETARG_INT32(1));
    return Datum{0};
}

ANOMALY_FUNCTION(anomaly_create_consumer) {
    const char* name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    check_new_name("consumer", name);
    const int64 position = start_position(text_to_cstring(PG_GETARG_TEXT_PP(1)));
    const CatalogArgument arguments[] = {argument_text(name), argument_oid(REGROLEOID, GetUserId()),
                                         argument_int8(position)};
    if (catalog_execute("INSERT INTO anomaly.consumer (name, owner, seq) VALUES ($1, $2, $3) "
                        "ON CONFLICT (name) DO NOTHING",
                        arguments, lengthof(arguments), SPI_OK_INSERT) == 0) {
        ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
                        errmsg("consumer \"%s\" already exists", name)));
    }
    PG_RETURN_INT64(position);
}

ANOMALY_FUNCTION(anomaly_drop_consumer) {
    const char* name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    open_consumer(name);
    const CatalogArgument argument = argument_text(name);
    catalog_execute("DELETE FROM anomaly.consumer WHERE name = $1", &argument, 1, SPI_OK_DELETE);
    PG_RETURN_VOID();
}

ANOMALY_FUNCTION(anomaly_consumer_events) {
    refuse_nulls(fcinfo, "name");
    const char* name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    open_consumer(name);
    const CatalogArgument argument = argument_text(name);
    const int64 position =
        catalog_select_int("SELECT seq FROM anomaly.consumer WHERE name = $1", &argument, 1, 0);
    // Newer than the statement's: whoever had the lock has moved on.
    PushActiveSnapshot(GetTransactionSnapshot());
    return_events(fcinfo, position, PG_GETARG_INT32(1));
    PopActiveSnapshot();
    return Datum{0};
}

ANOMALY_FUNCTION(anomaly_consumer_ack) {
    const char* name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    const int64 seq = PG_GETARG_INT64(1);
    open_consumer(name);
    const EventHead head = current_head();
    // Just promoted, the log does not reach yet as far as what was seen of the old primary.
    if (seq > head.seq && (head.is_ours || head.seq == 0)) {
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("position %lld is beyond the end of the event log",
                               static_cast<long long>(seq)),
                        errdetail("The last event is %lld.", static_cast<long long>(head.seq))));
    }
    const CatalogArgument arguments[] = {argument_text(name), argument_int8(seq)};
    catalog_execute(
        "UPDATE anomaly.consumer SET seq = greatest(seq, $2), acked_at = clock_timestamp() "
        "WHERE name = $1",
        arguments, lengthof(arguments), SPI_OK_UPDATE);
    PG_RETURN_VOID();
}

}  // namespace anomaly::pg
