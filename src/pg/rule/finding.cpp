// Writes anomaly.finding_log.
#include "pg/rule/finding.h"

#include "pg/rule/finding_trigger.h"
#include "pg/rule/rule_gap.h"
#include "pg/server/array_argument.h"
#include "pg/server/guc.h"
#include "pg/server/plan.h"

namespace anomaly::pg {

namespace {

// The id is made of what the finding is about, so that a repeat has the same.
Plan insert_findings = {
    "WITH found AS MATERIALIZED (SELECT f.*, pg_catalog.md5(pg_catalog.jsonb_build_array(f.rule, "
    "$1::text, f.series, pg_catalog.date_part('epoch', f.window_start), "
    "pg_catalog.date_part('epoch', f.window_end), f.kafka_partition, f.kafka_offset, "
    "f.position)::text)::uuid AS id "
    "FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) WITH ORDINALITY AS f (rule, "
    "series, window_start, window_end, kafka_partition, kafka_offset, position, severity, value, "
    "threshold, message, number)), "
    "written AS (INSERT INTO anomaly.finding_log (id, rule, table_name, series, window_start, "
    "window_end, kafka_partition, kafka_offset, severity, value, threshold, message) "
    "SELECT id, rule, $1, series, window_start, window_end, kafka_partition, kafka_offset, "
    "severity, value, threshold, message FROM found ORDER BY number "
    "ON CONFLICT (id) DO NOTHING RETURNING id) "
    "SELECT min(f.number), f.id, bool_or(w.id IS NOT NULL) FROM found f "
    "LEFT JOIN written w ON w.id = f.id GROUP BY f.id ORDER BY 1",
    NULL};

constexpr int32 kRemovedAtOnce = 10000;

// Oldest first, by an index; not what a rule on update still finds. Where none is old, no plan that
// was made for other numbers of findings looks at more than the oldest.
Plan remove_old = {
    "DELETE FROM anomaly.finding_log WHERE id IN (SELECT f.id FROM anomaly.finding_log f "
    "WHERE (SELECT min(found_at) FROM anomaly.finding_log) < now() - make_interval(secs => $1) "
    "AND f.found_at < now() - make_interval(secs => $1) AND NOT EXISTS (SELECT FROM "
    "anomaly.finding_state s WHERE s.finding = f.id AND s.standing) ORDER BY f.found_at LIMIT $2)",
    NULL};

enum Column {
    kRule,
    kSeries,
    kWindowStart,
    kWindowEnd,
    kPartition,
    kOffset,
    kPosition,
    kSeverity,
    kValue,
    kThreshold,
    kMessage,
    kColumnCount
};

constexpr Oid kTypes[kColumnCount] = {TEXTOID,   JSONBOID,  TIMESTAMPTZOID, TIMESTAMPTZOID,
                                      INT4OID,   INT8OID,   INT4OID,        TEXTOID,
                                      FLOAT8OID, FLOAT8OID, TEXTOID};

void append(ArrayColumn* columns, const Finding* f) {
    append_text(&columns[kRule], f->rule->name);
    append_value(&columns[kSeries], f->series);
    append_if(&columns[kWindowStart], f->has_window, TimestampTzGetDatum(f->window_start));
    append_if(&columns[kWindowEnd], f->has_window, TimestampTzGetDatum(f->window_end));
    append_if(&columns[kPartition], f->has_message, Int32GetDatum(f->partition));
    append_if(&columns[kOffset], f->has_message, Int64GetDatum(f->offset));
    append_value(&columns[kPosition], Int32GetDatum(f->position));
    append_text(&columns[kSeverity], f->severity);
    append_if(&columns[kValue], f->has_value, Float8GetDatum(f->value));
    append_if(&columns[kThreshold], f->has_threshold, Float8GetDatum(f->threshold));
    append_text(&columns[kMessage], f->message);
}

}  // namespace

LoggedFinding* log_findings(const RuleSet* set, const List* findings, int* count) {
    *count = 0;
    if (findings == NIL) return NULL;
    ArrayColumn columns[kColumnCount];
    for (int i = 0; i < kColumnCount; i++) {
        columns[i] = make_array_column(kTypes[i], list_length(findings));
    }
    ListCell* cell;
    foreach (cell, findings) append(columns, static_cast<const Finding*>(lfirst(cell)));
    CatalogArgument arguments[kColumnCount + 1];
    arguments[0] = argument_text(get_rel_name(set->table));
    for (int i = 0; i < kColumnCount; i++) arguments[i + 1] = argument_array(columns[i]);
    check_finding_triggers();
    const int nest_level = NewGUCNestLevel();
    const uint64 rows = run_plan(&insert_findings, arguments, lengthof(arguments), SPI_OK_SELECT);
    // Not what triggers have set: their SET would last as long as the worker.
    AtEOXact_GUC(false, nest_level);
    LoggedFinding* logged = static_cast<LoggedFinding*>(palloc(sizeof(LoggedFinding) * (rows + 1)));
    for (uint64 i = 0; i < rows; i++) {
        bool is_null = false;
        const HeapTuple row = SPI_tuptable->vals[i];
        logged[i].id = SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &is_null);
        logged[i].is_new = DatumGetBool(SPI_getbinval(row, SPI_tuptable->tupdesc, 3, &is_null));
    }
    *count = static_cast<int>(rows);
    return logged;
}

bool remove_old_findings() {
    if (settings.finding_retention_s < 0 || settings.event_retention_s < 0) return false;
    const int seconds = Max(settings.finding_retention_s, settings.event_retention_s);
    const CatalogArgument range[] = {{FLOAT8OID, Float8GetDatum(seconds), false},
                                     argument_int8(kRemovedAtOnce)};
    remove_old_gaps(seconds);
    check_finding_triggers();
    return run_plan(&remove_old, range, lengthof(range), SPI_OK_DELETE) == kRemovedAtOnce;
}

}  // namespace anomaly::pg
