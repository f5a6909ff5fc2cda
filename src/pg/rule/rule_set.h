// The rules of one continuous table, as its worker has them: loaded with the table, and what became
// of each in the commit that is being made.
#pragma once

#include "core/spec.h"
#include "pg/query/definition.h"
#include "pg/pg.h"
#include "pg/rule/rule_query.h"

namespace anomaly::pg {

// A query that is made and prepared when it is first needed.
struct RulePlan {
    char* query;
    SPIPlanPtr prepared;
    int64 row_count;  // of the changes that it was planned for
};

enum class RuleResult : uint8 {
    kNotDue,  // nothing for it to look at
    kDue,
    kSkipped,  // it is paused
    kDone,
    kFailed,
};

struct Rule {
    char* name;
    RuleCall call;
    bool on_close;
    char* search_path;
    int failures;              // in a row
    TimestampTz paused_until;  // 0: not paused
    bool has_gap;              // what it did not look at is being recorded
    bool is_alone;             // it has failed, and is not evaluated together with others
    RulePlan plan;
    // Evaluations without a finding, not yet in anomaly.rule.
    int64 quiet_evaluations;
    int64 quiet_us;
    // Of this commit:
    RuleResult result;
    int64 elapsed_us;
    int64 finding_count;
    int64 dropped_count;  // more than may be written
    char* error;          // kFailed
};

// The parameters of the rules of a group that share its query, as the relation that it reads.
struct SharedParameters {
    MemoryContext context;  // NULL: not made
    Rule** rules;
    int count;
    int runs;
    EphemeralNamedRelation relation;
};

// Rules of one function that differ in name and parameters alone: one query for all.
struct RuleGroup {
    int first;
    int count;
    RulePlan plan;
    SharedParameters parameters;
};

// Rows that rules of this commit have to look at.
struct RuleRows {
    int64 count;
    TimestampTz first_window_end;
    TimestampTz last_window_end;
};

struct RuleSet {
    Oid table;
    const TableDefinition* definition;
    MemoryContext context;
    Rule* rules;
    int count;
    RuleGroup* groups;
    int group_count;
    bool follows_updates;  // some rule on update is about rows that may change again
    int64 figures_due_us;  // when quiet evaluations are to be written; PG_INT64_MAX: there are none
    int64 row_count;       // of this commit's changes
    RuleRows closed;       // of this commit
    RuleRows changed;
};

// The enabled rules of a table; in the current memory context. Needs a transaction.
RuleSet* load_rules(Oid table, const TableDefinition* definition);

}  // namespace anomaly::pg
