// What became of the rules of a commit: figures and errors, pauses of those that fail again and
// again, and the events that tell of them.
#pragma once

#include "pg/pg.h"
#include "pg/rule_set.h"

namespace anomaly::pg {

// A rule has begun to fail again and again, or has ended its worker; palloc'd.
struct RuleNotice {
    Oid table;
    const char* rule;
    const char* table_name;
    const char* message;
    int64 errors;  // of the rule so far: with its name, what the notice is known by
};

// Writes the outcomes of evaluate_rules, in one statement and as the superuser of the worker. Never
// waits: who changes a rule in a transaction that stays open keeps only that rule's figures back.
// Notices are added to the list (of RuleNotice*), in `target`. Needs SPI_connect.
void store_rule_outcomes(RuleSet* rules, MemoryContext target, List** notices);

}  // namespace anomaly::pg
