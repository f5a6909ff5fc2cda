// Evaluates rules.
#include "pg/rule/rule_evaluate.h"

#include "pg/rule/finding_receiver.h"
#include "pg/rule/rule_filter.h"
#include "pg/rule/rule_limit.h"
#include "pg/rule/rule_parameters.h"
#include "pg/server/guc.h"
#include "pg/server/subtransaction.h"

namespace anomaly::pg {

namespace {

constexpr int kLeastLimitMs = 10;

// The evaluation of all rules of a table in one commit.
struct Round {
    RuleSet* set;
    CollectedRows rows;
    const char* search_path;  // in force, at a nest level of its own; NULL: none
    int nest_level;
    MemoryContext target;
    List** findings;
    int limit_ms;  // of the next query. Halved by each that exceeds it: together they take no more
                   // than twice the limit of one, however many are stuck
};

// One query: of one rule, or of those of a group that have something to look at.
struct Evaluation {
    RuleSet* set;
    Rule** rules;
    int count;
    RuleGroup* group;  // NULL: of one rule
    RulePlan* plan;
    FindingReceiver receiver;
};

// ---- one query ----

// What is right for a few rows is ruinous for many: a plan lasts until there are so many more.
constexpr int64 kTooManyMore = 10;

bool is_prepared(const RulePlan* plan, const RuleSet* set) {
    return plan->prepared != NULL && set->row_count <= plan->row_count * kTooManyMore;
}

void prepare(const Evaluation* evaluation) {
    RulePlan* plan = evaluation->plan;
    RuleSet* set = evaluation->set;
    if (is_prepared(plan, set)) return;
    if (plan->prepared != NULL) SPI_freeplan(plan->prepared);
    plan->prepared = NULL;
    plan->row_count = Max(set->row_count, 1);
    if (plan->query == NULL) {
        const MemoryContext caller = MemoryContextSwitchTo(set->context);
        const Rule* rule = evaluation->rules[0];
        plan->query = make_rule_query(set->table, set->definition, rule->call, rule->on_close,
                                      evaluation->group != NULL);
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
    if (evaluation->group == NULL) return;
    if (evaluation->receiver.row_count >= kMaxCountedFindings) {
        elog(ERROR, "rules found too much together");
    }
    if (evaluation->group->filter.keys.count > 0 && !filter_is_current(evaluation->group)) {
        elog(ERROR, "the function changed on the way");
    }
}

void filter_step(void* opaque) {
    const Evaluation* evaluation = static_cast<const Evaluation*>(opaque);
    restrict_rights();
    prepare(evaluation);
    make_filter(evaluation->set, evaluation->group);
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

// Under the time limit and rights of rules. NULL: it was well.
const char* run_step(Round* round, void (*step)(void*), Evaluation* evaluation) {
    const TimestampTz start = GetCurrentTimestamp();
    use_search_path(round, evaluation->rules[0]->search_path);
    start_rule_limit(evaluation->rules, evaluation->count, round->limit_ms);
    ErrorData* error = run_in_subtransaction(step, evaluation, Containment::kRule);
    stop_rule_limit();
    if (error == NULL) return NULL;
    const int64 elapsed_us = Max(GetCurrentTimestamp() - start, 0);
    const MemoryContext caller = MemoryContextSwitchTo(round->target);
    const char* text = pstrdup(describe(error, elapsed_us, round->limit_ms));
    FreeErrorData(error);
    MemoryContextSwitchTo(caller);
    forget_plan(evaluation->plan);
    forget_results(evaluation);
    if (elapsed_us >= round->limit_ms * INT64CONST(1000)) {
        round->limit_ms = Max(round->limit_ms / 2, kLeastLimitMs);
    }
    return text;
}

const char* run_query(Round* round, Rule** rules, int count, RuleGroup* group, RulePlan* plan) {
    Evaluation evaluation = {round->set, rules, count,
                             group,      plan,  make_finding_receiver(rules, round->target)};
    const char* error = run_step(round, evaluate_step, &evaluation);
    if (error != NULL) return error;
    const MemoryContext caller = MemoryContextSwitchTo(round->target);
    *round->findings = list_concat(*round->findings, evaluation.receiver.findings);
    MemoryContextSwitchTo(caller);
    return NULL;
}

// ---- one rule, and several ----

const RowCounts* rows_of(const RuleSet* set, const Rule* rule) {
    return rule->on_close ? &set->closed : &set->changed;
}

void evaluate_rule(Round* round, Rule* rule) {
    const TimestampTz start = GetCurrentTimestamp();
    const char* error = run_query(round, &rule, 1, NULL, &rule->plan);
    rule->elapsed_us = Max(GetCurrentTimestamp() - start, 0);
    rule->result = error == NULL ? RuleResult::kDone : RuleResult::kFailed;
    rule->error = const_cast<char*>(error);
    if (error != NULL) leave_group(round->set, rule);
}

const char* make_filter_now(Round* round, RuleGroup* group) {
    Evaluation evaluation = {round->set, group->members, group->member_count,
                             group,      &group->plan,   {}};
    register_parameters(round->set, group, group->members, group->member_count);
    const char* error = run_step(round, filter_step, &evaluation);
    SPI_unregister_relation(kParametersName);
    return error;
}

// NULL: it was well.
const char* evaluate_together(Round* round, RuleGroup* group, Rule** matched, int* count) {
    if (!is_prepared(&group->plan, round->set) || !filter_is_current(group)) {
        const char* error = make_filter_now(round, group);
        if (error != NULL) return error;
    }
    *count = match_rules(group, round->rows, matched);
    if (*count == 0) return NULL;
    register_parameters(round->set, group, matched, *count);
    const char* error = run_query(round, matched, *count, group, &group->plan);
    SPI_unregister_relation(kParametersName);
    return error;
}

// By one query. If that fails, nobody knows through whom: each is evaluated by itself then.
void evaluate_group(Round* round, RuleGroup* group) {
    RuleSet* set = round->set;
    group->result = RuleResult::kNotDue;
    if (group->member_count == 0 || rows_of(set, group->members[0])->count == 0) return;
    const TimestampTz start = GetCurrentTimestamp();
    Rule** matched =
        static_cast<Rule**>(palloc(sizeof(Rule*) * static_cast<Size>(group->member_count)));
    int count = 0;
    const char* error = evaluate_together(round, group, matched, &count);
    group->elapsed_ns += Max(GetCurrentTimestamp() - start, 0) * 1000 / group->member_count;
    if (error == NULL) {
        group->result = RuleResult::kDone;
        group->evaluations++;
        for (int i = 0; i < count; i++) {
            if (matched[i]->finding_count > 0) set->active[set->active_count++] = matched[i];
        }
    } else {
        group->result = RuleResult::kDue;
        for (int i = 0; i < group->member_count; i++) {
            group->members[i]->result = RuleResult::kDue;
            set->active[set->active_count++] = group->members[i];
        }
    }
    pfree(matched);
}

// ---- what is due ----

// Of the rules that have no group.
void find_due(RuleSet* set) {
    const TimestampTz now = GetCurrentTimestamp();
    for (int i = 0; i < set->single_count; i++) {
        Rule* rule = set->singles[i];
        if (rows_of(set, rule)->count == 0) continue;
        rule->result = rule->paused_until > now ? RuleResult::kSkipped : RuleResult::kDue;
        set->active[set->active_count++] = rule;
    }
}

// Those that failed the last time come last: what they take of the time is not taken from others.
void evaluate_each(Round* round, bool failing) {
    for (int i = 0; i < round->set->active_count; i++) {
        Rule* rule = round->set->active[i];
        if (rule->result == RuleResult::kDue && (rule->failures > 0) == failing) {
            evaluate_rule(round, rule);
        }
    }
}

// A plan that has them as they were is made anew; nothing has failed by that.
void follow_names(RuleSet* set, int version) {
    if (set->names_version == version) return;
    for (int i = 0; i < set->count; i++) forget_plan(&set->rules[i].plan);
    for (int g = 0; g < set->group_count; g++) forget_plan(&set->groups[g].plan);
    set->names_version = version;
}

}  // namespace

void evaluate_rules(RuleSet* set, const TableChanges* changes, const CollectedRows& rows,
                    MemoryContext target, List** findings) {
    if (set->count == 0) return;
    forget_last_commit(set);
    follow_names(set, rows.version);
    set->row_count = changes->row_count;
    set->closed = changes->closed;
    set->changed = changes->changed;
    find_due(set);
    Round round = {set, rows, NULL, 0, target, findings, settings.rule_time_limit_ms};
    for (int i = 0; i < set->group_count; i++) evaluate_group(&round, &set->groups[i]);
    evaluate_each(&round, false);
    evaluate_each(&round, true);
    if (round.search_path != NULL) AtEOXact_GUC(false, round.nest_level);
    // A subtransaction does not give them back.
    LockReleaseSession(USER_LOCKMETHOD);
}

}  // namespace anomaly::pg
