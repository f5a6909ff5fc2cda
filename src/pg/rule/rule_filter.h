// The rules of a group by what they are about: of a thousand that share a query only those that the
// rows of a commit can be of interest to are given to it.
#pragma once

#include "pg/pg.h"
#include "pg/rule/rule_set.h"
#include "pg/table/table_writer.h"

namespace anomaly::pg {

// Whether what make_filter has found out is still so: the function may have been replaced.
bool filter_is_current(const RuleGroup* group);

// For the group's query, which has been prepared. Runs the planner, which may run functions of the
// user's; needs SPI_connect and the relations that the query reads.
void make_filter(RuleSet* set, RuleGroup* group);

// Puts those members that may find something in the rows into `matched`, which has room for all, in
// the order of the set; returns how many.
int match_rules(RuleGroup* group, const CollectedRows& rows, Rule** matched);

}  // namespace anomaly::pg
