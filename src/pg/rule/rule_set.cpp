// Loads the rules of a continuous table.
#include "pg/rule/rule_set.h"

#include "pg/server/plan.h"

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
        // Whole, and not where it is stored, which is gone once the rule is altered.
        rule->call.parameters_value =
            PointerGetDatum(PG_DETOAST_DATUM_COPY(SPI_getbinval(row, columns, 3, &is_null)));
    }
    rule->call.result = SPI_getvalue(row, columns, 4);
    rule->on_close = strcmp(SPI_getvalue(row, columns, 5), "close") == 0;
    rule->search_path = SPI_getvalue(row, columns, 6);
    rule->failures = DatumGetInt32(SPI_getbinval(row, columns, 7, &is_null));
    const Datum paused = SPI_getbinval(row, columns, 8, &is_null);
    rule->paused_until = is_null ? 0 : DatumGetTimestampTz(paused);
    rule->has_gap = DatumGetBool(SPI_getbinval(row, columns, 9, &is_null));
}

bool is_well(const Rule* rule) {
    return rule->call.parameters != NULL && rule->failures == 0;
}

bool may_share(const Rule* a, const Rule* b) {
    return a->call.parameters != NULL && b->call.parameters != NULL && a->on_close == b->on_close &&
           strcmp(a->call.function, b->call.function) == 0 &&
           strcmp(a->call.result, b->call.result) == 0 &&
           strcmp(a->search_path, b->search_path) == 0;
}

void make_group(RuleSet* set, int first, int end) {
    RuleGroup* group = &set->groups[set->group_count];
    group->members = static_cast<Rule**>(palloc(sizeof(Rule*) * static_cast<Size>(end - first)));
    for (int i = first; i < end; i++) {
        if (is_well(&set->rules[i])) group->members[group->member_count++] = &set->rules[i];
    }
    if (group->member_count < 2) {
        *group = {};
        return;
    }
    set->group_count++;
    for (int i = 0; i < group->member_count; i++) {
        group->members[i]->group = group;
        // Fractions of a microsecond: not lost by all of them at the same time.
        group->members[i]->taken_ns = -(INT64CONST(1000) * i / group->member_count);
    }
}

void make_groups(RuleSet* set) {
    const Size capacity = static_cast<Size>(set->count) + 1;
    set->groups = static_cast<RuleGroup*>(palloc0(sizeof(RuleGroup) * capacity));
    set->singles = static_cast<Rule**>(palloc(sizeof(Rule*) * capacity));
    set->active = static_cast<Rule**>(palloc(sizeof(Rule*) * capacity));
    for (int first = 0; first < set->count;) {
        int end = first + 1;
        while (end < set->count && may_share(&set->rules[first], &set->rules[end])) end++;
        if (end - first > 1) make_group(set, first, end);
        first = end;
    }
    for (int i = 0; i < set->count; i++) {
        if (set->rules[i].group == NULL) set->singles[set->single_count++] = &set->rules[i];
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
    const uint64 count = run_plan(&select_rules, &argument, 1, SPI_OK_SELECT);
    const SPITupleTable* rows = SPI_tuptable;
    const MemoryContext spi_context = MemoryContextSwitchTo(set->context);
    set->rules = static_cast<Rule*>(palloc0(sizeof(Rule) * (count + 1)));
    set->count = static_cast<int>(count);
    for (uint64 i = 0; i < count; i++) {
        load_rule(&set->rules[i], rows->vals[i], rows->tupdesc);
        if (set->rules[i].has_gap) set->has_gaps = true;
        free_plan_with(set->context, &set->rules[i].plan.prepared);
        if (!set->rules[i].on_close && definition->kind != TableKind::kFilter) {
            set->follows_updates = true;
        }
    }
    make_groups(set);
    for (int g = 0; g < set->group_count; g++) {
        free_plan_with(set->context, &set->groups[g].plan.prepared);
    }
    MemoryContextSwitchTo(spi_context);
    SPI_finish();
    return set;
}

void take_group_figures(Rule* rule) {
    const RuleGroup* group = rule->group;
    if (group == NULL) return;
    const int64 elapsed_us = (group->elapsed_ns - rule->taken_ns) / 1000;
    rule->quiet_us += elapsed_us;
    rule->taken_ns += elapsed_us * 1000;
    rule->quiet_evaluations += group->evaluations - rule->taken_evaluations;
    rule->taken_evaluations = group->evaluations;
}

void leave_group(RuleSet* set, Rule* rule) {
    RuleGroup* group = rule->group;
    if (group == NULL) return;
    take_group_figures(rule);
    int count = 0;
    for (int i = 0; i < group->member_count; i++) {
        if (group->members[i] != rule) group->members[count++] = group->members[i];
    }
    group->member_count = count;
    rule->group = NULL;
    set->singles[set->single_count++] = rule;
}

bool is_by_itself(const Rule* rule) {
    return rule->group == NULL || rule->group->result == RuleResult::kDue;
}

RuleResult result_of(const Rule* rule) {
    return is_by_itself(rule) ? rule->result : rule->group->result;
}

void forget_last_commit(RuleSet* set) {
    for (int i = 0; i < set->active_count; i++) {
        Rule* rule = set->active[i];
        rule->result = RuleResult::kNotDue;
        rule->elapsed_us = 0;
        rule->finding_count = 0;
        rule->dropped_count = 0;
        rule->error = NULL;
    }
    set->active_count = 0;
}

}  // namespace anomaly::pg
