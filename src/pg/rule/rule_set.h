// The rules of one continuous table, as its worker has them: loaded with the table, and what became
// of each in the commit that is being made.
#pragma once

#include "core/spec.h"
#include "pg/pg.h"
#include "pg/query/definition.h"
#include "pg/rule/rule_key.h"
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

struct RuleGroup;

struct Rule {
    char* name;
    RuleCall call;
    bool on_close;
    char* search_path;
    int failures;              // in a row
    TimestampTz paused_until;  // 0: not paused
    bool has_gap;              // what it did not look at is being recorded
    RulePlan plan;
    RuleGroup* group;   // that it is evaluated with, NULL: it has failed, or is one of its kind
    uint64 matched_in;  // the group's last round that had something for it
    // Evaluations without a finding, not yet in anomaly.rule; what of its group's figures is in
    // them, or there.
    int64 quiet_evaluations;
    int64 quiet_us;
    int64 taken_evaluations;
    int64 taken_ns;
    // Of this commit, of rules that are in the set's list of them:
    RuleResult result;
    int64 elapsed_us;
    int64 finding_count;
    int64 dropped_count;  // more than may be written
    char* error;          // kFailed
};

// The parameters of rules that share a query, as the relation that it reads.
struct SharedParameters {
    MemoryContext context;  // NULL: not made
    Rule** rules;
    int count;
    int runs;
    EphemeralNamedRelation relation;
};

struct HashedRule {
    uint64 hash;
    Rule* rule;
};

// Which members of a group have to look at a row.
struct RuleFilter {
    MemoryContext context;  // NULL: not made
    RuleKeys keys;
    int generation;      // of the plan that it belongs to
    HashedRule* hashed;  // in the order of the hashes
    int hashed_count;
    Rule** always;  // those that have to look at all rows
    int always_count;
};

// Rules of one function that differ in name and parameters alone: one query for all. What happens
// to all of them alike is only here, so that a rule that finds nothing costs nothing.
struct RuleGroup {
    Rule** members;
    int member_count;
    RulePlan plan;
    SharedParameters parameters;
    RuleFilter filter;
    uint64 round;
    RuleResult result;  // of each member in this commit; kDue: each has its own
    int64 evaluations;
    int64 elapsed_ns;  // each member's part
};

struct RuleSet {
    Oid table;
    const TableDefinition* definition;
    MemoryContext context;
    Rule* rules;
    int count;
    RuleGroup* groups;
    int group_count;
    Rule** singles;  // those without a group
    int single_count;
    bool has_gaps;         // some rule has one
    bool follows_updates;  // some rule on update is about rows that may change again
    int names_version;     // of the table (pg/table/table_writer.h), as the plans have them
    int64 figures_due_us;  // when quiet evaluations are to be written; PG_INT64_MAX: there are none
    // Of this commit:
    int64 row_count;  // of the changes
    RowCounts closed;
    RowCounts changed;
    Rule** active;  // rules of which there is more to say than of their group
    int active_count;
};

// The enabled rules of a table; in the current memory context. Needs a transaction, as a superuser.
RuleSet* load_rules(Oid table, const TableDefinition* definition);

// From now on the rule is evaluated by itself.
void leave_group(RuleSet* set, Rule* rule);

// Moves what the group has counted for it to the rule's own figures.
void take_group_figures(Rule* rule);

// Whether it was evaluated by itself in this commit, and what became of it.
bool is_by_itself(const Rule* rule);
RuleResult result_of(const Rule* rule);

void forget_last_commit(RuleSet* set);

}  // namespace anomaly::pg
