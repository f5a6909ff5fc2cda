// The queries that evaluate rules over the rows of a commit.
#pragma once

#include "pg/pg.h"
#include "pg/query/definition.h"

namespace anomaly::pg {

// Of what a rule finds in one commit so much is written; the rest is counted, up to the second.
constexpr int kMaxFindings = 10000;
constexpr int kMaxCountedFindings = 100000;

// Its columns, in order.
enum RuleQueryColumn {
    kRuleNumber = 1,  // in the group, from 0
    kRuleOrdinal,
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
    Datum parameters_value;  // the same as jsonb, for queries of several rules
    const char* result;      // boolean, text or finding
};

// What a query for several rules reads: their parameters.
constexpr const char kParametersName[] = "anomaly_parameters";
constexpr const char kNumberColumn[] = "number";          // int4
constexpr const char kParametersColumn[] = "parameters";  // jsonb

// Needs the table's lock, as all here do. `shared`: for all rules that kParametersName has.
char* make_rule_query(Oid table, const TableDefinition* definition, const RuleCall& rule,
                      bool on_close, bool shared);

// Labels and start of the window of each row that a commit has changed or removed.
char* make_touched_query(Oid table, const TableDefinition* definition);

// Over the stored rows whose window ends after $1 and not after $2 (timestamptz); of a table
// without windows: all rows. Columns: series, window_start, window_end, severity, value, threshold,
// message.
char* make_rule_test_query(Oid table, const TableDefinition* definition, const RuleCall& rule);

}  // namespace anomaly::pg
