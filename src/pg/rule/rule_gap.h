// What rules did not look at, because they failed or were paused: recorded, and told of when it is
// over.
#pragma once

#include "pg/pg.h"
#include "pg/rule/rule_set.h"

namespace anomaly::pg {

// After the rules of a commit were evaluated. As the superuser; needs SPI_connect. Events are added
// to the list (of Event*), in `target`.
void store_gaps(RuleSet* set, MemoryContext target, List** events);

// A rule that is disabled for what it did.
void open_gap(const char* rule, const char* table_name, const char* reason);

// Those that are over, after as long as findings are kept. Needs SPI_connect.
void remove_old_gaps(int retention_s);

}  // namespace anomaly::pg
