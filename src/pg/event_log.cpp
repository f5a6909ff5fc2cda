// Writes findings and events.
#include "pg/event_log.h"

#include "pg/event_head.h"
#include "pg/finding_trigger.h"
#include "pg/plan.h"
#include "pg/rule_outcome.h"
#include "pg/rule_set.h"

namespace anomaly::pg {

namespace {

// The id is made of what the finding is about, so that a repeat has the same.
Plan insert_finding = {
    "INSERT INTO anomaly.finding_log (id, rule, table_name, series, window_start, window_end, "
    "kafka_partition, kafka_offset, severity, value, threshold, message) "
    "VALUES (pg_catalog.md5(pg_catalog.jsonb_build_array($1::text, $2::text, $3::jsonb, "
    "pg_catalog.date_part('epoch', $4::timestamptz), pg_catalog.date_part('epoch', "
    "$5::timestamptz), $6::int4, $7::int8, $12::int4)::text)::uuid, "
    "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING RETURNING id",
    NULL};
Plan insert_events = {
    "INSERT INTO anomaly.alert_event (seq, kind, finding, table_id) "
    "SELECT $1 + u.number, 'finding', u.id, k.id "
    "FROM unnest($2::uuid[], $3::oid[]) WITH ORDINALITY AS u (id, relid, number) "
    "LEFT JOIN anomaly.continuous_table k ON k.relid = u.relid",
    NULL};
Plan insert_notice = {
    "INSERT INTO anomaly.alert_event (seq, kind, id, rule, table_name, message, table_id) "
    "VALUES ($1, 'rule_failing', "
    "pg_catalog.md5(pg_catalog.jsonb_build_array('rule_failing', $2::text, "
    "$3::text, $5::int8)::text)::uuid, $2, $3, $4, "
    "(SELECT k.id FROM anomaly.continuous_table k WHERE k.relid = $6))",
    NULL};

// False: it was there.
bool write_finding(const Finding* f, pg_uuid_t* id) {
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
    if (run_plan(&insert_finding, arguments, lengthof(arguments), SPI_OK_INSERT_RETURNING) == 0) {
        return false;
    }
    bool is_null = false;
    *id = *DatumGetUUIDP(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
    SPI_freetuptable(SPI_tuptable);
    return true;
}

void write_finding_events(const List* found, int64 before) {
    const int count = list_length(found);
    if (count == 0) return;
    Datum* ids = static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<Size>(count)));
    Datum* tables = static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<Size>(count)));
    for (int i = 0; i < count; i++) {
        NewFinding* one = static_cast<NewFinding*>(list_nth(found, i));
        ids[i] = UUIDPGetDatum(&one->id);
        tables[i] = ObjectIdGetDatum(one->table);
    }
    const CatalogArgument arguments[] = {
        argument_int8(before),
        {UUIDARRAYOID,
         PointerGetDatum(construct_array(ids, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR)),
         false},
        {OIDARRAYOID,
         PointerGetDatum(construct_array(tables, count, OIDOID, sizeof(Oid), true, TYPALIGN_INT)),
         false},
    };
    run_plan(&insert_events, arguments, lengthof(arguments), SPI_OK_INSERT);
}

}  // namespace

void write_findings(Oid table, const List* findings, MemoryContext target, List** new_findings) {
    if (findings == NIL) return;
    check_finding_triggers();
    const int nest_level = NewGUCNestLevel();
    ListCell* cell;
    foreach (cell, findings) {
        pg_uuid_t id;
        if (!write_finding(static_cast<const Finding*>(lfirst(cell)), &id)) continue;
        const MemoryContext caller = MemoryContextSwitchTo(target);
        NewFinding* one = static_cast<NewFinding*>(palloc(sizeof(NewFinding)));
        *one = {id, table};
        *new_findings = lappend(*new_findings, one);
        MemoryContextSwitchTo(caller);
    }
    // Not what triggers have set: their SET would last as long as the worker.
    AtEOXact_GUC(false, nest_level);
}

int64 write_events(const List* new_findings, const List* notices, int64* last_seq) {
    const int64 count = list_length(new_findings) + list_length(notices);
    *last_seq = 0;
    if (count == 0) return 0;
    *last_seq = take_event_numbers(count);
    int64 seq = *last_seq - count;
    write_finding_events(new_findings, seq);
    seq += list_length(new_findings);
    ListCell* cell;
    foreach (cell, notices) {
        const RuleNotice* notice = static_cast<const RuleNotice*>(lfirst(cell));
        const CatalogArgument arguments[] = {argument_int8(++seq),
                                             argument_text(notice->rule),
                                             argument_text(notice->table_name),
                                             argument_text(notice->message),
                                             argument_int8(notice->errors),
                                             argument_oid(REGCLASSOID, notice->table)};
        run_plan(&insert_notice, arguments, lengthof(arguments), SPI_OK_INSERT);
    }
    return count;
}

}  // namespace anomaly::pg
