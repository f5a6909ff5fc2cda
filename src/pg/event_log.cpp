// Writes findings and events, and announces them.
#include "pg/event_log.h"

#include "pg/guc.h"
#include "pg/plan.h"
#include "pg/rule_outcome.h"
#include "pg/rule_set.h"

namespace anomaly::pg {

namespace {

constexpr int64 kNotifyIntervalUs = 100000;

// The id is made of what the finding is about, so that a repeat has the same.
Plan insert_finding = {
    "INSERT INTO anomaly.finding_log (id, rule, table_name, series, window_start, window_end, "
    "kafka_partition, kafka_offset, severity, value, threshold, message) "
    "VALUES (pg_catalog.md5(pg_catalog.jsonb_build_array($1::text, $2::text, $3::jsonb, "
    "pg_catalog.date_part('epoch', $4::timestamptz), pg_catalog.date_part('epoch', "
    "$5::timestamptz), $6::int4, $7::int8, $12::int4)::text)::uuid, "
    "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING RETURNING id",
    NULL};
Plan ensure_head = {"INSERT INTO anomaly.event_head (seq) VALUES (0) ON CONFLICT DO NOTHING", NULL};
Plan advance_head = {"UPDATE anomaly.event_head SET seq = seq + $1 RETURNING seq", NULL};
Plan insert_event = {
    "INSERT INTO anomaly.alert_event (seq, kind, finding) VALUES ($1, 'finding', $2)", NULL};
Plan insert_notice = {
    "INSERT INTO anomaly.alert_event (seq, kind, id, rule, table_name, message) VALUES ($1, "
    "'rule_failing', pg_catalog.md5(pg_catalog.jsonb_build_array('rule_failing', $2::text, "
    "$3::text, $5::int8)::text)::uuid, $2, $3, $4)",
    NULL};

struct Pending {
    int64 last_seq;
    int64 event_count;
    int64 sent_at_us;
    bool failed;  // the last one; said once
};
Pending pending = {0, 0, 0, false};

Datum* insert_findings(const List* findings, int64* count) {
    Datum* ids =
        static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<Size>(list_length(findings) + 1)));
    *count = 0;
    ListCell* cell;
    foreach (cell, findings) {
        const Finding* f = static_cast<const Finding*>(lfirst(cell));
        const CatalogArgument arguments[] = {
            argument_text(f->rule),
            argument_text(f->table_name),
            {JSONBOID, f->series, false},
            {TIMESTAMPTZOID, TimestampTzGetDatum(f->window_start), !f->has_window},
            {TIMESTAMPTZOID, TimestampTzGetDatum(f->window_end), !f->has_window},
            {INT4OID, Int32GetDatum(f->partition), !f->has_message},
            {INT8OID, Int64GetDatum(f->offset), !f->has_message},
            argument_text(f->severity),
            {FLOAT8OID, Float8GetDatum(f->value), !f->has_value},
            {FLOAT8OID, Float8GetDatum(f->threshold), !f->has_threshold},
            argument_text(f->message),
            argument_int4(f->position),
        };
        if (run_plan(&insert_finding, arguments, lengthof(arguments), SPI_OK_INSERT_RETURNING) ==
            1) {
            bool is_null = false;
            const Datum id =
                SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
            ids[(*count)++] = datumCopy(id, false, UUID_LEN);
        }
    }
    return ids;
}

int64 take_numbers(int64 count) {
    run_plan(&ensure_head, NULL, 0, SPI_OK_INSERT);
    const CatalogArgument argument = argument_int8(count);
    run_plan(&advance_head, &argument, 1, SPI_OK_UPDATE_RETURNING);
    bool is_null = false;
    return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
}

// In a transaction of its own: a full notify queue, or any other trouble, must not touch ingest.
void send(int64 last_seq, int64 event_count) {
    const MemoryContext caller = CurrentMemoryContext;
    PG_TRY();
    {
        StartTransactionCommand();
        char* payload =
            psprintf("{\"v\":1,\"seq\":%lld,\"firing\":%lld,\"resolved\":0}",
                     static_cast<long long>(last_seq), static_cast<long long>(event_count));
        Async_Notify("anomaly", payload);
        CommitTransactionCommand();
        pending.failed = false;
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(caller);
        ErrorData* error = CopyErrorData();
        FlushErrorState();
        AbortCurrentTransaction();
        if (ProcDiePending) ReThrowError(error);
        if (!pending.failed) {
            ereport(LOG, (errmsg("anomaly could not send NOTIFY: %s", error->message),
                          errdetail("Events are in anomaly.alert_event all the same.")));
        }
        pending.failed = true;
        FreeErrorData(error);
    }
    PG_END_TRY();
    MemoryContextSwitchTo(caller);
}

}  // namespace

int64 write_events(const List* findings, const List* notices, int64* last_seq) {
    *last_seq = 0;
    if (findings == NIL && notices == NIL) return 0;
    int64 finding_count = 0;
    const Datum* ids = insert_findings(findings, &finding_count);
    const int64 count = finding_count + list_length(notices);
    if (count == 0) return 0;
    *last_seq = take_numbers(count);
    int64 seq = *last_seq - count;
    for (int64 i = 0; i < finding_count; i++) {
        const CatalogArgument arguments[] = {argument_int8(++seq), {UUIDOID, ids[i], false}};
        run_plan(&insert_event, arguments, lengthof(arguments), SPI_OK_INSERT);
    }
    ListCell* cell;
    foreach (cell, notices) {
        const RuleNotice* notice = static_cast<const RuleNotice*>(lfirst(cell));
        const CatalogArgument arguments[] = {
            argument_int8(++seq), argument_text(notice->rule), argument_text(notice->table_name),
            argument_text(notice->message), argument_int8(notice->errors)};
        run_plan(&insert_notice, arguments, lengthof(arguments), SPI_OK_INSERT);
    }
    return count;
}

void notify_events(int64 last_seq, int64 event_count) {
    if (!settings.notify || event_count == 0) return;
    pending.last_seq = last_seq;
    pending.event_count += event_count;
    if (GetCurrentTimestamp() >= notify_due_us()) notify_pending();
}

int64 notify_due_us() {
    if (pending.event_count == 0) return PG_INT64_MAX;
    return pending.sent_at_us + kNotifyIntervalUs;
}

void notify_pending() {
    if (pending.event_count == 0) return;
    const int64 last_seq = pending.last_seq;
    const int64 event_count = pending.event_count;
    pending.event_count = 0;
    pending.sent_at_us = GetCurrentTimestamp();
    send(last_seq, event_count);
}

}  // namespace anomaly::pg
