// Stores the outcomes of rules.
#include "pg/rule_outcome.h"

#include "pg/plan.h"

namespace anomaly::pg {

namespace {

// After so many failures in a row a rule is paused: 10 s, 20 s ... up to an hour.
constexpr int kFailuresBeforePause = 5;

struct Outcomes {
    Datum* names;
    Datum* elapsed_us;
    Datum* finding_counts;
    Datum* errors;
    bool* no_error;
    int* numbers;  // in the set
    int count;
};

Outcomes gather(const RuleSet* set) {
    const Size size = static_cast<Size>(set->count);
    Outcomes outcomes = {static_cast<Datum*>(palloc(sizeof(Datum) * size)),
                         static_cast<Datum*>(palloc(sizeof(Datum) * size)),
                         static_cast<Datum*>(palloc(sizeof(Datum) * size)),
                         static_cast<Datum*>(palloc(sizeof(Datum) * size)),
                         static_cast<bool*>(palloc(sizeof(bool) * size)),
                         static_cast<int*>(palloc(sizeof(int) * size)),
                         0};
    for (int i = 0; i < set->count; i++) {
        const Rule* rule = &set->rules[i];
        if (!rule->evaluated) continue;
        const int at = outcomes.count++;
        outcomes.names[at] = CStringGetTextDatum(rule->name);
        outcomes.elapsed_us[at] = Int64GetDatum(rule->elapsed_us);
        outcomes.finding_counts[at] = Int64GetDatum(rule->finding_count);
        outcomes.no_error[at] = rule->error == NULL;
        outcomes.errors[at] = rule->error == NULL ? Datum{0} : CStringGetTextDatum(rule->error);
        outcomes.numbers[at] = i;
    }
    return outcomes;
}

CatalogArgument text_array(Datum* values, bool* nulls, int count) {
    int dimensions[] = {count};
    int lower[] = {1};
    return {TEXTARRAYOID,
            PointerGetDatum(construct_md_array(values, nulls, 1, dimensions, lower, TEXTOID, -1,
                                               false, TYPALIGN_INT)),
            false};
}

CatalogArgument int8_array(Datum* values, int count) {
    return {INT8ARRAYOID,
            PointerGetDatum(construct_array(values, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
                                            TYPALIGN_DOUBLE)),
            false};
}

void add_notice(const RuleSet* set, const Rule* rule, int64 errors, MemoryContext target,
                List** notices) {
    const MemoryContext caller = MemoryContextSwitchTo(target);
    RuleNotice* notice = static_cast<RuleNotice*>(palloc(sizeof(RuleNotice)));
    notice->table = set->table;
    notice->rule = pstrdup(rule->name);
    notice->table_name = pstrdup(get_rel_name(set->table));
    notice->message = psprintf("rule \"%s\" has failed %d times in a row: %s", rule->name,
                               kFailuresBeforePause, rule->error);
    notice->errors = errors;
    *notices = lappend(*notices, notice);
    MemoryContextSwitchTo(caller);
}

int64 int_at(const SPITupleTable* rows, uint64 row, int column) {
    bool is_null = false;
    return DatumGetInt64(SPI_getbinval(rows->vals[row], rows->tupdesc, column, &is_null));
}

}  // namespace

void store_rule_outcomes(RuleSet* set, MemoryContext target, List** notices) {
    static Plan update = {
        "WITH free AS (SELECT r.name FROM anomaly.rule r WHERE r.name = ANY ($1) "
        "FOR NO KEY UPDATE SKIP LOCKED) "
        "UPDATE anomaly.rule r SET evaluations = r.evaluations + 1, "
        "total_time = r.total_time + u.elapsed_us * interval '1 microsecond', "
        "findings = r.findings + u.findings, "
        "errors = r.errors + CASE WHEN u.error IS NULL THEN 0 ELSE 1 END, "
        "failures = CASE WHEN u.error IS NULL THEN 0 ELSE r.failures + 1 END, "
        "paused_until = CASE WHEN u.error IS NOT NULL AND r.failures + 1 >= $5 THEN "
        "clock_timestamp() + least(interval '1 hour', "
        "interval '10 seconds' * 2 ^ least(r.failures + 1 - $5, 20)) END, "
        "last_error = coalesce(u.error, r.last_error), "
        "last_error_at = CASE WHEN u.error IS NULL THEN r.last_error_at "
        "ELSE clock_timestamp() END "
        "FROM free JOIN unnest($1, $2, $3, $4) WITH ORDINALITY "
        "AS u (name, elapsed_us, findings, error, number) ON u.name = free.name "
        "WHERE r.name = free.name "
        "RETURNING u.number, r.failures::int8, r.errors, r.paused_until",
        NULL};
    Outcomes outcomes = gather(set);
    if (outcomes.count == 0) return;
    const CatalogArgument arguments[] = {
        text_array(outcomes.names, NULL, outcomes.count),
        int8_array(outcomes.elapsed_us, outcomes.count),
        int8_array(outcomes.finding_counts, outcomes.count),
        text_array(outcomes.errors, outcomes.no_error, outcomes.count),
        argument_int4(kFailuresBeforePause),
    };
    const uint64 count = run_plan(&update, arguments, lengthof(arguments), SPI_OK_UPDATE_RETURNING);
    const SPITupleTable* rows = SPI_tuptable;
    for (uint64 row = 0; row < count; row++) {
        Rule* rule = &set->rules[outcomes.numbers[int_at(rows, row, 1) - 1]];
        bool is_null = false;
        const Datum paused = SPI_getbinval(rows->vals[row], rows->tupdesc, 4, &is_null);
        rule->paused_until = is_null ? 0 : DatumGetTimestampTz(paused);
        if (rule->error != NULL && int_at(rows, row, 2) == kFailuresBeforePause) {
            add_notice(set, rule, int_at(rows, row, 3), target, notices);
        }
    }
}

}  // namespace anomaly::pg
