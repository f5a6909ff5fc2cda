// Evaluates the rules of a table over the rows of a commit: each is one query that PostgreSQL may
// inline and join, and rules that differ in parameters alone share one, which is given those that
// the rows can be of interest to. Read-only, as the table's
// owner, in a restricted subtransaction that is undone, under a time limit. What a rule does wrong
// is recorded on the rule and stops nothing else.
#pragma once

#include "core/spec.h"
#include "pg/pg.h"
#include "pg/rule/rule_set.h"
#include "pg/table/table_writer.h"

namespace anomaly::pg {

// Over the rows that collect_changes registered of `changes`. Needs SPI_connect, as the table's
// owner. Findings are added to the list (of Finding*), in `target`; results are in the set.
void evaluate_rules(RuleSet* rules, const TableChanges* changes, const CollectedRows& rows,
                    MemoryContext target, List** findings);

}  // namespace anomaly::pg
