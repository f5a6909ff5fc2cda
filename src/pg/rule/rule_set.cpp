// Loads the rules of a continuous table.
#include "pg/rule/rule_set.h"

#include "pg/server/plan.h"
#include "pg/rule/finding_state.h"

namespace anomaly::pg {

namespace {

// Rules that may share a query stand together.
Plan select_rules = {
    "SELECT r.name, r.function, r.parameters, r.result, r.evaluate, r.search_path, r.failures, "
    "r.paused_until, EXISTS (SELECT FROM anomaly.rule_gap g WHERE g.rule = r.name "
    "AND g.until IS NULL AND g.since >= r.created_at) "
    "FROM anomaly.rule r WHERE r.relid = $1 AND r.enabled "
    "ORDER BY r.function, r.evaluate, r.search_path, r.name",
    NULL};

void load_rule(Rule* rule, HeapTuple row, TupleDesc columns) {
    bool is_null = false;
    rule->name = SPI_getvalue(row, columns, 1);
    rule->call.function = SPI_getvalue(row, columns, 2);
    rule->call.parameters = SPI_getvalue(row, columns, 3);
    if (rule->call.parameters != NULL) {
        rule->call.parameters_value =
            datumCopy(SPI_getbinval(row, columns, 3, &is_null), false, -1);
    }
    rule->call.result = SPI_getvalue(row, columns, 4);
    rule->on_close = strcmp(SPI_getvalue(row, columns, 5), "close") == 0;
    rule->search_path = SPI_getvalue(row, columns, 6);
    rule->failures = DatumGetInt32(SPI_getbinval(row, columns, 7, &is_null));
    const Datum paused = SPI_getbinval(row, columns, 8, &is_null);
    rule->paused_until = is_null ? 0 : DatumGetTimestampTz(paused);
    rule->has_gap = DatumGetBool(SPI_getbinval(row, columns, 9, &is_null));
    rule->is_alone = rule->call.parameters == NULL || rule->failures > 0;
}

bool may_share(const Rule* a, const Rule* b) {
    return a->call.parameters != NULL && b->call.parameters != NULL && a->on_close == b->on_close &&
           strcmp(a->call.function, b->call.function) == 0 &&
           strcmp(a->call.result, b->call.result) == 0 &&
           strcmp(a->search_path, b->search_path) == 0;
}

void make_groups(RuleSet* set) {
    set->groups =
        static_cast<RuleGroup*>(palloc0(sizeof(RuleGroup) * static_cast<Size>(set->count + 1)));
    for (int first = 0; first < set->count;) {
        int end = first + 1;
        while (end < set->count && may_share(&set->rules[first], &set->rules[end])) end++;
        if (end - first > 1) set->groups[set->group_count++] = {first, end - first, {}, {}};
        first = end;
    }
}

}  // namespace

RuleSet* load_rules(Oid table, const TableDefinition* definition) {
    RuleSet* set = static_cast<RuleSet*>(palloc0(sizeof(RuleSet)));
    set->table = table;
    set->definition = definition;
    set->context = CurrentMemoryContext;
    set->figures_due_us = PG_INT64_MAX;
    const CatalogArgument argument = argument_oid(REGCLASSOID, table);
    SPI_connect();
    forget_states_without_rule(table);
    const uint64 count = run_plan(&select_rules, &argument, 1, SPI_OK_SELECT);
    const SPITupleTable* rows = SPI_tuptable;
    const MemoryContext spi_context = MemoryContextSwitchTo(set->context);
    set->rules = static_cast<Rule*>(palloc0(sizeof(Rule) * (count + 1)));
    set->count = static_cast<int>(count);
    for (uint64 i = 0; i < count; i++) {
        load_rule(&set->rules[i], rows->vals[i], rows->tupdesc);
        if (!set->rules[i].on_close && definition->kind != TableKind::kFilter) {
            set->follows_updates = true;
        }
    }
    make_groups(set);
    MemoryContextSwitchTo(spi_context);
    SPI_finish();
    return set;
}

}  // namespace anomaly::pg
