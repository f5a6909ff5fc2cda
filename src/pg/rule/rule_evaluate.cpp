// Evaluates rules.
#include "pg/rule/rule_evaluate.h"

#include "pg/rule/finding_receiver.h"
#include "pg/server/guc.h"
#include "pg/rule/rule_limit.h"
#include "pg/rule/rule_parameters.h"
#include "pg/server/subtransaction.h"

namespace anomaly::pg {

namespace {

constexpr int kLeastLimitMs = 10;

// The evaluation of all rules of a table in one commit.
struct Round {
    RuleSet* set;
    const char* search_path;  // in force, at a nest level of its own; NULL: none
    int nest_level;
    MemoryContext target;
    List** findings;
    int limit_ms;  // of the next query. Halved by each that exceeds it: together they take no more
                   // than twice the limit of one, however many are stuck
};

// One query: of one rule, or of several that share it.
struct Evaluation {
    RuleSet* set;
    Rule** rules;
    int count;
    RulePlan* plan;
    FindingReceiver receiver;
};

// ---- one query ----

// What is right for a few rows is ruinous for many: a plan lasts until there are so many more.
constexpr int64 kTooManyMore = 10;

void prepare(const Evaluation* evaluation) {
    RulePlan* plan = evaluation->plan;
    RuleSet* set = evaluation->set;
    if (plan->prepared != NULL && set->row_count <= plan->row_count * kTooManyMore) return;
    if (plan->prepared != NULL) SPI_freeplan(plan->prepared);
    plan->prepared = NULL;
    plan->row_count = Max(set->row_count, 1);
    if (plan->query == NULL) {
        const MemoryContext caller = MemoryContextSwitchTo(set->context);
        const Rule* rule = evaluation->rules[0];
        plan->query = make_rule_query(set->table, set->definition, rule->call, rule->on_close,
                                      evaluation->count > 1);
        MemoryContextSwitchTo(caller);
    }
    plan->prepared = SPI_prepare(plan->query, 0, NULL);
    if (plan->prepared == NULL) {
        elog(ERROR, "cannot prepare \"%s\": %s", plan->query, SPI_result_code_string(SPI_result));
    }
    SPI_keepplan(plan->prepared);
}

// A function or table may have been renamed: what failed is made anew the next time.
void forget_plan(RulePlan* plan) {
    if (plan->prepared != NULL) SPI_freeplan(plan->prepared);
    if (plan->query != NULL) pfree(plan->query);
    *plan = {};
}

// No statement of a rule may write, and nothing that outlives it may be left in the session: no
// LISTEN, no prepared statement, no other role.
void restrict_rights() {
    Oid user;
    int context;
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(user, context | SECURITY_RESTRICTED_OPERATION);
    XactReadOnly = true;
}

void evaluate_step(void* opaque) {
    Evaluation* evaluation = static_cast<Evaluation*>(opaque);
    restrict_rights();
    prepare(evaluation);
    SPIExecuteOptions options = {};
    options.read_only = true;
    options.dest = &evaluation->receiver.receiver;
    PushActiveSnapshot(GetTransactionSnapshot());
    const int result = SPI_execute_plan_extended(evaluation->plan->prepared, &options);
    PopActiveSnapshot();
    if (result != SPI_OK_SELECT) {
        elog(ERROR, "unexpected result %s of a rule", SPI_result_code_string(result));
    }
    if (evaluation->count > 1 && evaluation->receiver.row_count >= kMaxCountedFindings) {
        elog(ERROR, "rules found too much together");
    }
}

const char* describe(const ErrorData* error, int64 elapsed_us, int limit_ms) {
    if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && elapsed_us >= limit_ms * INT64CONST(1000)) {
        return psprintf("did not end within %d ms", limit_ms);
    }
    return error->message == NULL ? "error" : error->message;
}

void forget_results(const Evaluation* evaluation) {
    for (int i = 0; i < evaluation->count; i++) {
        evaluation->rules[i]->finding_count = 0;
        evaluation->rules[i]->dropped_count = 0;
    }
}

// It costs as much as a small query: only where it differs from the last rule's.
void use_search_path(Round* round, const char* path) {
    if (round->search_path != NULL && strcmp(round->search_path, path) == 0) return;
    if (round->search_path != NULL) AtEOXact_GUC(false, round->nest_level);
    round->nest_level = NewGUCNestLevel();
    set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                      false);
    round->search_path = path;
}

// NULL: it was well.
const char* run_query(Round* round, Rule** rules, int count, RulePlan* plan) {
    Evaluation evaluation = {round->set, rules, count, plan,
                             make_finding_receiver(rules, round->target)};
    const TimestampTz start = GetCurrentTimestamp();
    use_search_path(round, rules[0]->search_path);
    start_rule_limit(rules, count, round->limit_ms);
    ErrorData* error = run_in_subtransaction(evaluate_step, &evaluation, Containment::kRule);
    stop_rule_limit();
    const int64 elapsed_us = Max(GetCurrentTimestamp() - start, 0);
    for (int i = 0; i < count; i++) {
        rules[i]->elapsed_us += elapsed_us * (i + 1) / count - elapsed_us * i / count;
    }
    const MemoryContext caller = MemoryContextSwitchTo(round->target);
    const char* text = NULL;
    if (error == NULL) {
        *round->findings = list_concat(*round->findings, evaluation.receiver.findings);
    } else {
        text = pstrdup(describe(error, elapsed_us, round->limit_ms));
        FreeErrorData(error);
        forget_plan(plan);
        forget_results(&evaluation);
        if (elapsed_us >= round->limit_ms * INT64CONST(1000)) {
            round->limit_ms = Max(round->limit_ms / 2, kLeastLimitMs);
        }
    }
    MemoryContextSwitchTo(caller);
    return text;
}

// ---- one rule, and several ----

void evaluate_rule(Round* round, Rule* rule) {
    const char* error = run_query(round, &rule, 1, &rule->plan);
    rule->result = error == NULL ? RuleResult::kDone : RuleResult::kFailed;
    rule->error = const_cast<char*>(error);
    if (error != NULL) rule->is_alone = true;
}

// Those of a group that are well, by one query. If that fails, nobody knows through whom: each is
// evaluated by itself then.
void evaluate_group(Round* round, RuleGroup* group) {
    Rule** rules = static_cast<Rule**>(palloc(sizeof(Rule*) * static_cast<Size>(group->count)));
    int count = 0;
    for (int i = group->first; i < group->first + group->count; i++) {
        Rule* rule = &round->set->rules[i];
        if (rule->result == RuleResult::kDue && !rule->is_alone) rules[count++] = rule;
    }
    if (count > 1) {
        const TimestampTz start = GetCurrentTimestamp();
        register_parameters(round->set, group, rules, count);
        rules[0]->elapsed_us = Max(GetCurrentTimestamp() - start, 0);
        const char* error = run_query(round, rules, count, &group->plan);
        SPI_unregister_relation(kParametersName);
        for (int i = 0; i < count && error == NULL; i++) rules[i]->result = RuleResult::kDone;
    }
    pfree(rules);
}

// ---- what is due ----

void look_at(RuleRows* rows, bool has_window, TimestampTz window_end) {
    rows->count++;
    if (!has_window) return;
    const bool first = rows->count == 1;
    rows->first_window_end = first ? window_end : Min(rows->first_window_end, window_end);
    rows->last_window_end = first ? window_end : Max(rows->last_window_end, window_end);
}

void count_rows(RuleSet* set, const TableChanges* changes) {
    set->row_count = changes->row_count;
    set->closed = set->changed = {};
    if (set->definition->kind == TableKind::kFilter) {
        set->changed.count = changes->row_count;
        return;
    }
    const bool windows = set->definition->kind == TableKind::kWindowed;
    for (int row = 0; row < changes->row_count; row++) {
        const TimestampTz end = windows ? changes->window_ends[row] : 0;
        if ((changes->flags[row] & kRowClosed) != 0) look_at(&set->closed, windows, end);
        if ((changes->flags[row] & kRowUnchanged) == 0) look_at(&set->changed, windows, end);
    }
}

void find_due(RuleSet* set) {
    const TimestampTz now = GetCurrentTimestamp();
    for (int i = 0; i < set->count; i++) {
        Rule* rule = &set->rules[i];
        const RuleRows* rows = rule->on_close ? &set->closed : &set->changed;
        rule->result = rows->count == 0           ? RuleResult::kNotDue
                       : rule->paused_until > now ? RuleResult::kSkipped
                                                  : RuleResult::kDue;
        rule->elapsed_us = 0;
        rule->finding_count = 0;
        rule->dropped_count = 0;
        rule->error = NULL;
    }
}

// Those that failed the last time come last: what they take of the time is not taken from others.
void evaluate_each(Round* round, bool failing) {
    for (int i = 0; i < round->set->count; i++) {
        Rule* rule = &round->set->rules[i];
        if (rule->result == RuleResult::kDue && (rule->failures > 0) == failing) {
            evaluate_rule(round, rule);
        }
    }
}

}  // namespace

void evaluate_rules(RuleSet* set, const TableChanges* changes, MemoryContext target,
                    List** findings) {
    if (set->count == 0) return;
    count_rows(set, changes);
    find_due(set);
    Round round = {set, NULL, 0, target, findings, settings.rule_time_limit_ms};
    for (int i = 0; i < set->group_count; i++) evaluate_group(&round, &set->groups[i]);
    evaluate_each(&round, false);
    evaluate_each(&round, true);
    if (round.search_path != NULL) AtEOXact_GUC(false, round.nest_level);
    // A subtransaction does not give them back.
    LockReleaseSession(USER_LOCKMETHOD);
}

}  // namespace anomaly::pg
