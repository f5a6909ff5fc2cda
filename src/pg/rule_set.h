// The rules of one continuous table, evaluated over the rows of a commit: each rule is one query
// that PostgreSQL may inline and join, run read-only as the table's owner, in a subtransaction and
// under a time limit. What a rule does wrong is recorded on the rule and stops nothing else.
#pragma once

#include "core/spec.h"
#include "pg/definition.h"
#include "pg/pg.h"
#include "pg/rule_query.h"

namespace anomaly::pg {

struct Rule {
    char* name;
    RuleCall call;
    bool on_close;
    char* search_path;
    TimestampTz paused_until;  // 0: not paused
    char* query;               // NULL: not yet made
    SPIPlanPtr plan;           // NULL: not yet prepared
    // Of this commit:
    bool evaluated;
    int64 elapsed_us;
    int64 finding_count;
    char* error;  // NULL: none
};

struct RuleSet {
    Oid table;
    const TableDefinition* definition;
    MemoryContext context;
    Rule* rules;
    int count;
};

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

// Evaluates the rules that have something to look at over the rows that collect_changes registered
// of `changes`. Needs SPI_connect, as the table's owner. Findings are added to the list (of
// Finding*), in `target`.
void evaluate_rules(RuleSet* rules, const TableChanges* changes, MemoryContext target,
                    List** findings);

}  // namespace anomaly::pg
