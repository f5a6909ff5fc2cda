// Keeps anomaly.finding_state: which findings of rules on update hold now.
#include "pg/rule/finding_state.h"

#include "pg/event/event_log.h"
#include "pg/server/plan.h"
#include "pg/server/subtransaction.h"

namespace anomaly::pg {

namespace {

Plan forget_states = {
    "DELETE FROM anomaly.finding_state s WHERE s.relid = $1 AND NOT EXISTS "
    "(SELECT FROM anomaly.rule r WHERE r.name = s.rule AND r.relid = s.relid "
    "AND r.evaluate = 'update')",
    NULL};
Plan select_standing = {"SELECT 1 FROM anomaly.finding_state WHERE relid = $1 AND standing LIMIT 1",
                        NULL};
// turns: how often it has changed since it was first found.
Plan begin_states = {
    "INSERT INTO anomaly.finding_state AS s (finding, relid, rule, series, window_start, "
    "window_end) SELECT f.id, $1, f.rule, f.series, f.window_start, f.window_end "
    "FROM unnest($2) WITH ORDINALITY AS u (id, number) JOIN anomaly.finding_log f ON f.id = u.id "
    "ORDER BY u.number ON CONFLICT (finding) DO UPDATE SET standing = true, turns = s.turns + 1 "
    "WHERE NOT s.standing RETURNING s.finding, s.turns",
    NULL};
Plan end_states = {
    "UPDATE anomaly.finding_state s SET standing = false, turns = s.turns + 1 "
    "FROM unnest($2, $3) AS t (series, window_start) "
    "WHERE s.relid = $1 AND s.standing AND s.series = t.series "
    "AND s.window_start IS NOT DISTINCT FROM t.window_start "
    "AND s.rule = ANY ($4) AND s.finding <> ALL ($5) RETURNING s.finding, s.turns",
    NULL};
Plan settle_states = {"DELETE FROM anomaly.finding_state WHERE relid = $1 AND window_end <= $2",
                      NULL};

void add_event(const RuleSet* set, EventKind kind, Datum finding, int64 occurrence,
               MemoryContext target, List** events) {
    const MemoryContext caller = MemoryContextSwitchTo(target);
    Event* event = static_cast<Event*>(palloc0(sizeof(Event)));
    event->kind = kind;
    event->table = set->table;
    event->finding = datumCopy(finding, false, UUID_LEN);
    event->occurrence = occurrence;
    *events = lappend(*events, event);
    MemoryContextSwitchTo(caller);
}

// The rows of the last statement: finding, turns.
void add_turns(const RuleSet* set, EventKind kind, uint64 count, MemoryContext target,
               List** events) {
    for (uint64 i = 0; i < count; i++) {
        bool is_null = false;
        const HeapTuple row = SPI_tuptable->vals[i];
        const TupleDesc columns = SPI_tuptable->tupdesc;
        add_event(set, kind, SPI_getbinval(row, columns, 1, &is_null),
                  DatumGetInt64(SPI_getbinval(row, columns, 2, &is_null)), target, events);
    }
}

// A rule that found more than may be written has not said what ended.
ArrayColumn rules_to_end(const RuleSet* set) {
    ArrayColumn names = make_array_column(TEXTOID, set->count);
    for (int i = 0; i < set->count; i++) {
        const Rule* rule = &set->rules[i];
        if (!rule->on_close && result_of(rule) == RuleResult::kDone && rule->dropped_count == 0) {
            append_text(&names, rule->name);
        }
    }
    return names;
}

List* of_rules_on_update(const List* findings, bool on_update) {
    List* some = NIL;
    ListCell* cell;
    foreach (cell, findings) {
        Finding* finding = static_cast<Finding*>(lfirst(cell));
        if (finding->rule->on_close != on_update) some = lappend(some, finding);
    }
    return some;
}

void find_once(const RuleSet* set, const List* findings, MemoryContext target, List** events) {
    int count = 0;
    const LoggedFinding* logged = log_findings(set, findings, &count);
    for (int i = 0; i < count; i++) {
        if (logged[i].is_new) add_event(set, EventKind::kFinding, logged[i].id, 0, target, events);
    }
}

void follow(const RuleSet* set, const List* findings, const TouchedRows* touched,
            MemoryContext target, List** events) {
    int count = 0;
    const LoggedFinding* logged = log_findings(set, findings, &count);
    ArrayColumn ids = make_array_column(UUIDOID, count);
    for (int i = 0; i < count; i++) append_value(&ids, logged[i].id);
    const CatalogArgument table = argument_oid(REGCLASSOID, set->table);
    const CatalogArgument standing = argument_array(ids);
    if (count > 0) {
        const CatalogArgument arguments[] = {table, standing};
        const uint64 begun =
            run_plan(&begin_states, arguments, lengthof(arguments), SPI_OK_INSERT_RETURNING);
        add_turns(set, EventKind::kFinding, begun, target, events);
    }
    if (touched != NULL) {
        const CatalogArgument arguments[] = {table, argument_array(touched->series),
                                             argument_array(touched->window_starts),
                                             argument_array(rules_to_end(set)), standing};
        const uint64 ended =
            run_plan(&end_states, arguments, lengthof(arguments), SPI_OK_UPDATE_RETURNING);
        add_turns(set, EventKind::kFindingEnded, ended, target, events);
    }
}

struct Collect {
    RuleSet* set;
    TouchedRows* touched;
    MemoryContext target;
};

void collect_step(void* opaque) {
    Collect* collect = static_cast<Collect*>(opaque);
    RuleSet* set = collect->set;
    const char* query = make_touched_query(set->table, set->definition);
    if (SPI_execute(query, true, 0) != SPI_OK_SELECT) elog(ERROR, "cannot run \"%s\"", query);
    MemoryContextSwitchTo(collect->target);
    const int count = static_cast<int>(SPI_processed);
    collect->touched->series = make_array_column(JSONBOID, count);
    collect->touched->window_starts = make_array_column(TIMESTAMPTZOID, count);
    for (int i = 0; i < count; i++) {
        bool is_null = false;
        const HeapTuple row = SPI_tuptable->vals[i];
        const Datum series = SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &is_null);
        append_value(&collect->touched->series, datumCopy(series, false, -1));
        const Datum start = SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &is_null);
        append_if(&collect->touched->window_starts, !is_null, start);
    }
}

}  // namespace

bool has_standing_findings(const RuleSet* set) {
    if (!set->follows_updates) return false;
    const CatalogArgument table = argument_oid(REGCLASSOID, set->table);
    return run_plan(&select_standing, &table, 1, SPI_OK_SELECT) > 0;
}

void collect_touched(RuleSet* set, TouchedRows* touched) {
    touched->series = make_array_column(JSONBOID, 0);
    touched->window_starts = make_array_column(TIMESTAMPTZOID, 0);
    Collect collect = {set, touched, CurrentMemoryContext};
    // Labels that cannot be made are the error of each rule, which is recorded there.
    ErrorData* error = run_in_subtransaction(collect_step, &collect, Containment::kRule);
    if (error != NULL) FreeErrorData(error);
}

void store_findings(const RuleSet* set, const List* findings, const TouchedRows* touched,
                    TimestampTz closed_until, MemoryContext target, List** events) {
    if (!set->follows_updates) {
        find_once(set, findings, target, events);
        return;
    }
    find_once(set, of_rules_on_update(findings, false), target, events);
    follow(set, of_rules_on_update(findings, true), touched, target, events);
    if (set->definition->kind != TableKind::kWindowed || set->closed.count == 0) return;
    const CatalogArgument arguments[] = {
        argument_oid(REGCLASSOID, set->table),
        {TIMESTAMPTZOID, TimestampTzGetDatum(closed_until), false}};
    run_plan(&settle_states, arguments, lengthof(arguments), SPI_OK_DELETE);
}

void forget_states_without_rule(Oid table) {
    const CatalogArgument argument = argument_oid(REGCLASSOID, table);
    run_plan(&forget_states, &argument, 1, SPI_OK_DELETE);
}

}  // namespace anomaly::pg
