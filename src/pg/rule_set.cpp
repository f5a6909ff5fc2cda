// Loads and evaluates the rules of a continuous table.
#include "pg/rule_set.h"

#include "pg/guc.h"
#include "pg/plan.h"
#include "pg/rule_limit.h"
#include "pg/rule_query.h"
#include "pg/subtransaction.h"

namespace anomaly::pg {

RuleSet* load_rules(Oid table, const TableDefinition* definition) {
    static Plan select = {
        "SELECT name, function, parameters, result, evaluate, search_path, paused_until "
        "FROM anomaly.rule "
        "WHERE relid = $1 AND enabled ORDER BY name",
        NULL};
    RuleSet* set = static_cast<RuleSet*>(palloc0(sizeof(RuleSet)));
    set->table = table;
    set->definition = definition;
    set->context = CurrentMemoryContext;
    const CatalogArgument argument = argument_oid(REGCLASSOID, table);
    SPI_connect();
    const uint64 count = run_plan(&select, &argument, 1, SPI_OK_SELECT);
    const SPITupleTable* rows = SPI_tuptable;
    const MemoryContext spi_context = MemoryContextSwitchTo(set->context);
    set->rules = static_cast<Rule*>(palloc0(sizeof(Rule) * (count + 1)));
    for (uint64 i = 0; i < count; i++) {
        Rule* rule = &set->rules[i];
        rule->name = SPI_getvalue(rows->vals[i], rows->tupdesc, 1);
        rule->call.function = SPI_getvalue(rows->vals[i], rows->tupdesc, 2);
        rule->call.parameters = SPI_getvalue(rows->vals[i], rows->tupdesc, 3);
        rule->call.result = SPI_getvalue(rows->vals[i], rows->tupdesc, 4);
        rule->on_close = strcmp(SPI_getvalue(rows->vals[i], rows->tupdesc, 5), "close") == 0;
        rule->search_path = SPI_getvalue(rows->vals[i], rows->tupdesc, 6);
        bool is_null = false;
        const Datum paused = SPI_getbinval(rows->vals[i], rows->tupdesc, 7, &is_null);
        rule->paused_until = is_null ? 0 : DatumGetTimestampTz(paused);
    }
    set->count = static_cast<int>(count);
    MemoryContextSwitchTo(spi_context);
    SPI_finish();
    return set;
}

namespace {

struct Evaluation {
    RuleSet* set;
    Rule* rule;
    MemoryContext target;
    List* findings;
};

const char* text_at(HeapTuple row, TupleDesc descriptor, int column) {
    return SPI_getvalue(row, descriptor, column);
}

Finding* make_finding(const Evaluation* evaluation, HeapTuple row, TupleDesc descriptor) {
    Finding* finding = static_cast<Finding*>(palloc0(sizeof(Finding)));
    bool is_null = false;
    finding->rule = evaluation->rule->name;
    finding->table_name = pstrdup(get_rel_name(evaluation->set->table));
    finding->series = datumCopy(SPI_getbinval(row, descriptor, kRuleSeries, &is_null), false, -1);
    const Datum start = SPI_getbinval(row, descriptor, kRuleWindowStart, &is_null);
    finding->has_window = !is_null;
    if (finding->has_window) {
        finding->window_start = DatumGetTimestampTz(start);
        finding->window_end =
            DatumGetTimestampTz(SPI_getbinval(row, descriptor, kRuleWindowEnd, &is_null));
    }
    const Datum partition = SPI_getbinval(row, descriptor, kRulePartition, &is_null);
    finding->has_message = !is_null;
    if (finding->has_message) {
        finding->partition = DatumGetInt32(partition);
        finding->offset = DatumGetInt64(SPI_getbinval(row, descriptor, kRuleOffset, &is_null));
    }
    finding->severity = text_at(row, descriptor, kRuleSeverity);
    const Datum value = SPI_getbinval(row, descriptor, kRuleValue, &is_null);
    finding->has_value = !is_null;
    if (!is_null) finding->value = DatumGetFloat8(value);
    const Datum threshold = SPI_getbinval(row, descriptor, kRuleThreshold, &is_null);
    finding->has_threshold = !is_null;
    if (!is_null) finding->threshold = DatumGetFloat8(threshold);
    finding->message = text_at(row, descriptor, kRuleMessage);
    return finding;
}

void prepare_rule(RuleSet* set, Rule* rule) {
    if (rule->plan != NULL) return;
    if (rule->query == NULL) {
        const MemoryContext caller = MemoryContextSwitchTo(set->context);
        rule->query = make_rule_query(set->table, set->definition, rule->call, rule->on_close);
        MemoryContextSwitchTo(caller);
    }
    rule->plan = SPI_prepare(rule->query, 0, NULL);
    if (rule->plan == NULL) {
        elog(ERROR, "cannot prepare \"%s\": %s", rule->query, SPI_result_code_string(SPI_result));
    }
    SPI_keepplan(rule->plan);
}

void take_findings(Evaluation* evaluation) {
    const SPITupleTable* rows = SPI_tuptable;
    const MemoryContext caller = MemoryContextSwitchTo(evaluation->target);
    int32 ordinal = -1;
    int32 position = 0;
    for (uint64 i = 0; i < SPI_processed; i++) {
        bool is_null = false;
        const int32 this_ordinal =
            DatumGetInt32(SPI_getbinval(rows->vals[i], rows->tupdesc, kRuleOrdinal, &is_null));
        position = this_ordinal == ordinal ? position + 1 : 0;
        ordinal = this_ordinal;
        Finding* finding = make_finding(evaluation, rows->vals[i], rows->tupdesc);
        finding->position = position;
        evaluation->findings = lappend(evaluation->findings, finding);
    }
    MemoryContextSwitchTo(caller);
}

void evaluate_step(void* opaque) {
    Evaluation* evaluation = static_cast<Evaluation*>(opaque);
    // Read-only for the rest of this subtransaction: no statement of the rule may write.
    XactReadOnly = true;
    const int nest_level = NewGUCNestLevel();
    set_config_option("search_path", evaluation->rule->search_path, PGC_USERSET, PGC_S_SESSION,
                      GUC_ACTION_SAVE, true, 0, false);
    prepare_rule(evaluation->set, evaluation->rule);
    PushActiveSnapshot(GetTransactionSnapshot());
    const int result = SPI_execute_plan(evaluation->rule->plan, NULL, NULL, true, 0);
    PopActiveSnapshot();
    if (result != SPI_OK_SELECT) {
        elog(ERROR, "unexpected result %s of a rule", SPI_result_code_string(result));
    }
    if (SPI_processed > kMaxFindings) {
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                        errmsg("rule found more than %d things in one commit", kMaxFindings)));
    }
    take_findings(evaluation);
    AtEOXact_GUC(false, nest_level);
}

// A function or table may have been renamed: what failed is made anew the next time.
void forget_plan(Rule* rule) {
    if (rule->plan != NULL) SPI_freeplan(rule->plan);
    if (rule->query != NULL) pfree(rule->query);
    rule->plan = NULL;
    rule->query = NULL;
}

void evaluate_rule(RuleSet* set, Rule* rule, MemoryContext target, List** findings) {
    Evaluation evaluation = {set, rule, target, NIL};
    const TimestampTz start = GetCurrentTimestamp();
    start_rule_limit(rule->name);
    ErrorData* error = run_in_subtransaction(evaluate_step, &evaluation, true);
    stop_rule_limit();
    rule->evaluated = true;
    rule->elapsed_us = Max(GetCurrentTimestamp() - start, 0);
    const MemoryContext caller = MemoryContextSwitchTo(target);
    if (error != NULL) {
        rule->error = error->sqlerrcode == ERRCODE_QUERY_CANCELED
                          ? psprintf("did not end within %d ms", settings.rule_time_limit_ms)
                          : pstrdup(error->message);
        FreeErrorData(error);
        forget_plan(rule);
    } else {
        rule->finding_count = list_length(evaluation.findings);
        *findings = list_concat(*findings, evaluation.findings);
    }
    MemoryContextSwitchTo(caller);
}

struct Occasion {
    bool closed;   // some window is final now
    bool changed;  // some row is new or other than before
};

Occasion occasion_of(const RuleSet* set, const TableChanges* changes) {
    if (set->definition->kind == TableKind::kFilter) return {true, true};
    Occasion occasion = {false, false};
    for (int row = 0; row < changes->row_count; row++) {
        if ((changes->flags[row] & kRowClosed) != 0) occasion.closed = true;
        if ((changes->flags[row] & kRowUnchanged) == 0) occasion.changed = true;
    }
    return occasion;
}

}  // namespace

void evaluate_rules(RuleSet* set, const TableChanges* changes, MemoryContext target,
                    List** findings) {
    const Occasion occasion = occasion_of(set, changes);
    for (int i = 0; i < set->count; i++) {
        Rule* rule = &set->rules[i];
        rule->evaluated = false;
        rule->elapsed_us = 0;
        rule->finding_count = 0;
        rule->error = NULL;
        if (rule->on_close ? !occasion.closed : !occasion.changed) continue;
        if (rule->paused_until > GetCurrentTimestamp()) continue;
        evaluate_rule(set, rule, target, findings);
    }
}

}  // namespace anomaly::pg
