// Keeps anomaly.rule_gap.
#include "pg/rule/rule_gap.h"

#include "pg/event/event_log.h"
#include "pg/server/array_argument.h"
#include "pg/server/plan.h"

namespace anomaly::pg {

namespace {

// One row lasts from the first evaluation that is missing to the next one that is well.
Plan extend_gaps = {
    "INSERT INTO anomaly.rule_gap AS g (rule, since, table_name, commits, rows, "
    "first_window_end, last_window_end, reason) "
    "SELECT u.rule, coalesce(o.since, clock_timestamp()), $1, 1, u.rows, u.first_window_end, "
    "u.last_window_end, u.reason "
    "FROM unnest($2, $3, $4, $5, $6) AS u (rule, rows, first_window_end, last_window_end, reason) "
    "LEFT JOIN LATERAL (SELECT p.since FROM anomaly.rule_gap p JOIN anomaly.rule r "
    "ON r.name = p.rule WHERE p.rule = u.rule AND p.until IS NULL AND p.since >= r.created_at "
    "ORDER BY p.since DESC LIMIT 1) o ON true "
    "ON CONFLICT (rule, since) DO UPDATE SET commits = g.commits + 1, "
    "rows = g.rows + excluded.rows, "
    "first_window_end = least(g.first_window_end, excluded.first_window_end), "
    "last_window_end = greatest(g.last_window_end, excluded.last_window_end), "
    "reason = coalesce(excluded.reason, g.reason)",
    NULL};
// Who was told that it fails is told that it runs.
Plan close_gaps = {
    "WITH closed AS (UPDATE anomaly.rule_gap SET until = clock_timestamp() "
    "WHERE rule = ANY ($1) AND until IS NULL RETURNING *) "
    "SELECT rule, commits, rows, first_window_end::text, last_window_end::text, "
    "extract(epoch FROM since)::int8 FROM closed WHERE commits >= $2",
    NULL};
Plan insert_gap = {
    "INSERT INTO anomaly.rule_gap (rule, since, table_name, commits, rows, reason) "
    "VALUES ($1, clock_timestamp(), $2, 1, 0, $3)",
    NULL};
// Not what lasts, unless its rule is gone or another of the same name.
Plan remove_old = {
    "DELETE FROM anomaly.rule_gap g WHERE coalesce(g.until, g.since) < "
    "now() - make_interval(secs => $1) AND (g.until IS NOT NULL OR NOT EXISTS "
    "(SELECT FROM anomaly.rule r WHERE r.name = g.rule AND r.created_at <= g.since))",
    NULL};

// As many failures as rule_outcome tells of.
constexpr int kCommitsToTell = 5;

void extend(RuleSet* set) {
    ArrayColumn names = make_array_column(TEXTOID, set->active_count);
    ArrayColumn rows = make_array_column(INT8OID, set->active_count);
    ArrayColumn firsts = make_array_column(TIMESTAMPTZOID, set->active_count);
    ArrayColumn lasts = make_array_column(TIMESTAMPTZOID, set->active_count);
    ArrayColumn reasons = make_array_column(TEXTOID, set->active_count);
    const bool windows = set->definition->kind == TableKind::kWindowed;
    for (int i = 0; i < set->active_count; i++) {
        Rule* rule = set->active[i];
        const RuleResult result = result_of(rule);
        if (result != RuleResult::kFailed && result != RuleResult::kSkipped) continue;
        const RowCounts* missed = rule->on_close ? &set->closed : &set->changed;
        append_text(&names, rule->name);
        append_value(&rows, Int64GetDatum(missed->count));
        append_if(&firsts, windows, TimestampTzGetDatum(missed->first_window_end));
        append_if(&lasts, windows, TimestampTzGetDatum(missed->last_window_end));
        append_text(&reasons, rule->error);
        rule->has_gap = true;
        set->has_gaps = true;
    }
    if (names.count == 0) return;
    const CatalogArgument arguments[] = {argument_text(get_rel_name(set->table)),
                                         argument_array(names),
                                         argument_array(rows),
                                         argument_array(firsts),
                                         argument_array(lasts),
                                         argument_array(reasons)};
    run_plan(&extend_gaps, arguments, lengthof(arguments), SPI_OK_INSERT);
}

void tell_running(Oid table, HeapTuple row, TupleDesc columns, List** events) {
    bool is_null = false;
    const char* rule = SPI_getvalue(row, columns, 1);
    const char* commits = SPI_getvalue(row, columns, 2);
    const char* rows = SPI_getvalue(row, columns, 3);
    const char* first = SPI_getvalue(row, columns, 4);
    const char* last = SPI_getvalue(row, columns, 5);
    const char* windows =
        first == NULL ? "" : psprintf(", of windows that end from %s to %s", first, last);
    const char* message =
        psprintf("rule \"%s\" runs again; it has not looked at %s rows of %s commits%s", rule, rows,
                 commits, windows);
    *events =
        lappend(*events, make_rule_event(EventKind::kRuleRunning, table, rule, message,
                                         DatumGetInt64(SPI_getbinval(row, columns, 6, &is_null))));
}

void end(RuleSet* set, MemoryContext target, List** events) {
    if (!set->has_gaps) return;
    ArrayColumn names = make_array_column(TEXTOID, set->count);
    set->has_gaps = false;
    for (int i = 0; i < set->count; i++) {
        Rule* rule = &set->rules[i];
        if (!rule->has_gap) continue;
        if (result_of(rule) != RuleResult::kDone) {
            set->has_gaps = true;
            continue;
        }
        append_text(&names, rule->name);
        rule->has_gap = false;
    }
    if (names.count == 0) return;
    const CatalogArgument arguments[] = {argument_array(names), argument_int8(kCommitsToTell)};
    const uint64 count = run_plan(&close_gaps, arguments, lengthof(arguments), SPI_OK_SELECT);
    const MemoryContext caller = MemoryContextSwitchTo(target);
    for (uint64 i = 0; i < count; i++) {
        tell_running(set->table, SPI_tuptable->vals[i], SPI_tuptable->tupdesc, events);
    }
    MemoryContextSwitchTo(caller);
}

}  // namespace

void store_gaps(RuleSet* set, MemoryContext target, List** events) {
    extend(set);
    end(set, target, events);
}

void open_gap(const char* rule, const char* table_name, const char* reason) {
    const CatalogArgument arguments[] = {argument_text(rule), argument_text(table_name),
                                         argument_text(reason)};
    run_plan(&insert_gap, arguments, lengthof(arguments), SPI_OK_INSERT);
}

void remove_old_gaps(int retention_s) {
    const CatalogArgument age = {FLOAT8OID, Float8GetDatum(retention_s), false};
    run_plan(&remove_old, &age, 1, SPI_OK_DELETE);
}

}  // namespace anomaly::pg
