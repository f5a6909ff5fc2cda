// From what the rules of a table found in a commit to the log and to events. A rule on close finds
// once. What a rule on update found may cease to hold while its row still changes: there is an
// event when it begins and one when it ends.
#pragma once

#include "pg/pg.h"
#include "pg/rule/finding.h"
#include "pg/rule/rule_set.h"
#include "pg/server/array_argument.h"

namespace anomaly::pg {

// The rows that a commit has changed or removed, by what their findings are known by.
struct TouchedRows {
    ArrayColumn series;
    ArrayColumn window_starts;
};

// Whether something that was found on update still holds, so far. As the superuser; needs
// SPI_connect, as all here does.
bool has_standing_findings(const RuleSet* set);

// Needs the registered changes, as the table's owner.
void collect_touched(RuleSet* set, TouchedRows* touched);

// Writes the findings (a list of Finding*) of this commit and adds events (a list of Event*, in
// `target`). As the superuser. `touched` may be NULL: nothing stood before. What is about windows
// that end by `closed_until` stands for good.
void store_findings(const RuleSet* set, const List* findings, const TouchedRows* touched,
                    TimestampTz closed_until, MemoryContext target, List** events);

// Rules that are gone, or no longer on update.
void forget_states_without_rule(Oid table);

}  // namespace anomaly::pg
