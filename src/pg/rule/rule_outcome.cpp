// Stores the outcomes of rules.
#include "pg/rule/rule_outcome.h"

#include "pg/event/event_log.h"
#include "pg/rule/rule_gap.h"
#include "pg/server/array_argument.h"
#include "pg/server/plan.h"

namespace anomaly::pg {

namespace {

// After so many failures in a row a rule is paused: 10 s, 20 s ... up to an hour.
constexpr int kFailuresBeforePause = 5;
constexpr int64 kQuietUs = 5000000;

// $1 name, $2 evaluations, $3 time, $4 findings, $5 not written, $6 error
Plan update_rules = {
    "WITH free AS (SELECT r.name FROM anomaly.rule r WHERE r.name = ANY ($1) "
    "FOR NO KEY UPDATE SKIP LOCKED) "
    "UPDATE anomaly.rule r SET evaluations = r.evaluations + u.evaluations, "
    "total_time = r.total_time + u.elapsed_us * interval '1 microsecond', "
    "findings = r.findings + u.findings, dropped = r.dropped + u.dropped, "
    "errors = r.errors + CASE WHEN u.error IS NULL THEN 0 ELSE 1 END, "
    "failures = CASE WHEN u.error IS NULL THEN 0 ELSE r.failures + 1 END, "
    "paused_until = CASE WHEN u.error IS NOT NULL AND r.failures + 1 >= $7 THEN "
    "clock_timestamp() + least(interval '1 hour', "
    "interval '10 seconds' * 2 ^ least(r.failures + 1 - $7, 20)) END, "
    "last_error = coalesce(u.error, r.last_error), "
    "last_error_at = CASE WHEN u.error IS NULL THEN r.last_error_at "
    "ELSE clock_timestamp() END "
    "FROM free JOIN unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY AS u (name, evaluations, "
    "elapsed_us, findings, dropped, error, number) ON u.name = free.name "
    "WHERE r.name = free.name RETURNING u.number, r.failures::int8, r.errors, r.paused_until",
    NULL};

struct Outcomes {
    ArrayColumn names;
    ArrayColumn evaluations;
    ArrayColumn elapsed_us;
    ArrayColumn finding_counts;
    ArrayColumn dropped_counts;
    ArrayColumn errors;
    Rule** rules;
};

Outcomes make_outcomes(int capacity) {
    return {make_array_column(TEXTOID, capacity),
            make_array_column(INT8OID, capacity),
            make_array_column(INT8OID, capacity),
            make_array_column(INT8OID, capacity),
            make_array_column(INT8OID, capacity),
            make_array_column(TEXTOID, capacity),
            static_cast<Rule**>(palloc(sizeof(Rule*) * (static_cast<Size>(capacity) + 1)))};
}

// With what was only counted before.
void append(Outcomes* outcomes, Rule* rule) {
    take_group_figures(rule);
    outcomes->rules[outcomes->names.count] = rule;
    append_text(&outcomes->names, rule->name);
    append_value(&outcomes->evaluations, Int64GetDatum(rule->quiet_evaluations));
    append_value(&outcomes->elapsed_us, Int64GetDatum(rule->quiet_us));
    append_value(&outcomes->finding_counts, Int64GetDatum(rule->finding_count));
    append_value(&outcomes->dropped_counts, Int64GetDatum(rule->dropped_count));
    append_text(&outcomes->errors, rule->error);
    rule->quiet_evaluations = 0;
    rule->quiet_us = 0;
}

void append_quiet(Outcomes* outcomes, RuleSet* set) {
    for (int i = 0; i < set->count; i++) {
        Rule* rule = &set->rules[i];
        take_group_figures(rule);
        if (rule->quiet_evaluations > 0) append(outcomes, rule);
    }
    set->figures_due_us = PG_INT64_MAX;
}

uint64 update(const Outcomes& outcomes) {
    const CatalogArgument arguments[] = {
        argument_array(outcomes.names),          argument_array(outcomes.evaluations),
        argument_array(outcomes.elapsed_us),     argument_array(outcomes.finding_counts),
        argument_array(outcomes.dropped_counts), argument_array(outcomes.errors),
        argument_int4(kFailuresBeforePause)};
    return run_plan(&update_rules, arguments, lengthof(arguments), SPI_OK_UPDATE_RETURNING);
}

void add_failing(const RuleSet* set, const Rule* rule, int64 errors, MemoryContext target,
                 List** events) {
    const MemoryContext caller = MemoryContextSwitchTo(target);
    const char* message = psprintf("rule \"%s\" has failed %d times in a row: %s", rule->name,
                                   kFailuresBeforePause, rule->error);
    *events = lappend(
        *events, make_rule_event(EventKind::kRuleFailing, set->table, rule->name, message, errors));
    MemoryContextSwitchTo(caller);
}

int64 int_at(uint64 row, int column) {
    bool is_null = false;
    return DatumGetInt64(
        SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &is_null));
}

// What only counts stays in memory for a while: a thousand rules that find nothing are not to cost
// a thousand updates a commit.
Outcomes gather(RuleSet* set) {
    const TimestampTz now = GetCurrentTimestamp();
    const bool due = now >= set->figures_due_us;
    Outcomes outcomes = make_outcomes(due ? set->count : set->active_count);
    for (int i = 0; i < set->active_count; i++) {
        Rule* rule = set->active[i];
        const RuleResult result = result_of(rule);
        if (result != RuleResult::kDone && result != RuleResult::kFailed) continue;
        if (is_by_itself(rule)) {
            rule->quiet_evaluations++;
            rule->quiet_us += rule->elapsed_us;
        }
        if (rule->error != NULL || rule->finding_count > 0 || rule->failures > 0) {
            append(&outcomes, rule);
        }
    }
    if (due) {
        append_quiet(&outcomes, set);
    } else if (set->figures_due_us == PG_INT64_MAX) {
        set->figures_due_us = now + kQuietUs;
    }
    return outcomes;
}

}  // namespace

void store_rule_outcomes(RuleSet* set, MemoryContext target, List** events) {
    if (set->count == 0) return;
    store_gaps(set, target, events);
    const Outcomes outcomes = gather(set);
    if (outcomes.names.count == 0) return;
    const uint64 count = update(outcomes);
    for (uint64 row = 0; row < count; row++) {
        Rule* rule = outcomes.rules[int_at(row, 1) - 1];
        bool is_null = false;
        const Datum paused =
            SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, 4, &is_null);
        rule->paused_until = is_null ? 0 : DatumGetTimestampTz(paused);
        rule->failures = static_cast<int>(int_at(row, 2));
        if (rule->error != NULL && rule->failures == kFailuresBeforePause) {
            add_failing(set, rule, int_at(row, 3), target, events);
        }
    }
}

void store_quiet_figures(RuleSet* set) {
    forget_last_commit(set);
    Outcomes outcomes = make_outcomes(set->count);
    append_quiet(&outcomes, set);
    if (outcomes.names.count > 0) update(outcomes);
}

void store_lost_worker(const List* rules, const char* error, List** events) {
    static Plan update_lost = {
        "WITH free AS (SELECT r.name FROM anomaly.rule r WHERE r.name = ANY ($1) "
        "FOR NO KEY UPDATE SKIP LOCKED) "
        "UPDATE anomaly.rule r SET enabled = NOT $3, errors = r.errors + 1, "
        "failures = r.failures + 1, last_error = $2, last_error_at = clock_timestamp() "
        "FROM free WHERE r.name = free.name "
        "RETURNING r.name, r.relid::oid, r.errors",
        NULL};
    const bool single = list_length(rules) == 1;
    const char* what = single ? psprintf("%s: disabled", error)
                              : psprintf("together with others of its function %s", error);
    ArrayColumn names = make_array_column(TEXTOID, list_length(rules));
    ListCell* cell;
    foreach (cell, rules) append_text(&names, static_cast<const Rule*>(lfirst(cell))->name);
    const CatalogArgument arguments[] = {argument_array(names), argument_text(what),
                                         argument_bool(single)};
    const uint64 count =
        run_plan(&update_lost, arguments, lengthof(arguments), SPI_OK_UPDATE_RETURNING);
    if (!single || count == 0) return;
    const HeapTuple row = SPI_tuptable->vals[0];
    const char* rule = SPI_getvalue(row, SPI_tuptable->tupdesc, 1);
    bool is_null = false;
    const Oid table = DatumGetObjectId(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &is_null));
    const char* message = psprintf("rule \"%s\" %s", rule, what);
    *events = lappend(*events,
                      make_rule_event(EventKind::kRuleFailing, table, rule, message, int_at(0, 3)));
    open_gap(rule, get_rel_name(table), what);
    ereport(LOG,
            (errmsg("%s", message), errhint("Mend its function, then use anomaly.enable_rule.")));
}

}  // namespace anomaly::pg
