// Takes the rows of a rule query as findings, up to the number that may be written, and counts the
// rest.
#pragma once

#include "pg/pg.h"
#include "pg/rule/rule_set.h"

namespace anomaly::pg {

struct FindingReceiver {
    DestReceiver receiver;  // first: PostgreSQL knows no more
    Rule* const* rules;     // by number
    MemoryContext target;
    List* findings;  // of Finding*, in target
    int64 row_count;
    int32 number;  // of the last row
    int32 ordinal;
    int32 position;
};

FindingReceiver make_finding_receiver(Rule* const* rules, MemoryContext target);

}  // namespace anomaly::pg
