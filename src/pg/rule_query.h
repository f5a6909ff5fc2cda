// The query that evaluates a rule over the rows of a commit.
#pragma once

#include "pg/definition.h"
#include "pg/pg.h"

namespace anomaly::pg {

// A rule may find this many things in one commit; one more is an error of the rule.
constexpr int kMaxFindings = 10000;

// Its columns, in order.
enum RuleQueryColumn {
    kRuleOrdinal = 1,
    kRuleSeries,
    kRuleWindowStart,
    kRuleWindowEnd,
    kRulePartition,
    kRuleOffset,
    kRuleSeverity,
    kRuleValue,
    kRuleThreshold,
    kRuleMessage,
};

struct RuleCall {
    const char* function;    // qualified and quoted
    const char* parameters;  // json, NULL: none
    const char* result;      // boolean, text or finding
};

// Needs the table's lock.
char* make_rule_query(Oid table, const TableDefinition* definition, const RuleCall& rule,
                      bool on_close);

// Over the stored rows whose window ends after $1 and not after $2 (timestamptz); of a table
// without windows: all rows. Columns: series, window_start, window_end, severity, value, threshold,
// message.
char* make_rule_test_query(Oid table, const TableDefinition* definition, const RuleCall& rule);

}  // namespace anomaly::pg
