// The rules of one continuous table, evaluated over the rows of a commit: each rule is one query
// that PostgreSQL may inline and join, run read-only as the table's owner, in a subtransaction and
// under a time limit. What a rule does wrong is recorded on the rule and stops nothing else.
#pragma once

#include "pg/definition.h"
#include "pg/pg.h"

namespace anomaly::pg {

struct RuleSet;

// The enabled rules of a table; in the current memory context. Needs a transaction.
RuleSet* load_rules(Oid table, const TableDefinition* definition);

// One thing found, palloc'd; texts may be NULL.
struct Finding {
    const char* rule;
    const char* table_name;
    Datum series;  // jsonb
    bool has_window;
    TimestampTz window_start;
    TimestampTz window_end;
    bool has_message;
    int32 partition;
    int64 offset;
    int32 position;  // in the set that the rule returned for the row
    const char* severity;
    bool has_value;
    double value;
    bool has_threshold;
    double threshold;
    const char* message;
};

// Evaluates all rules over the rows that collect_changes registered. Needs SPI_connect, as the
// table's owner. Findings are added to the list (of Finding*), in `target`.
void evaluate_rules(RuleSet* rules, MemoryContext target, List** findings);

// Writes the rules' own counters and errors, as the superuser of the worker.
void store_rule_outcomes(RuleSet* rules);

}  // namespace anomaly::pg
