// Which rules of a shared query a row can be of interest to: conditions of their function that say
// that a column equals a text or an integer of the parameters, as c.hostname = p->>'host' does. A
// rule for which no row meets them finds nothing, whatever else its function says.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

struct RuleKey {
    AttrNumber column;  // of the changes
    Oid type;           // text, or the integer type that the parameter is cast to
    const char* name;   // of the parameter
};

constexpr int kMaxRuleKeys = 4;

// All of them hold for each finding. None: nothing can be told, every rule has to be evaluated.
struct RuleKeys {
    int count;
    RuleKey keys[kMaxRuleKeys];
};

// From a query of make_rule_query for several rules, as the parser has left it; it is scribbled on.
// Names are in the current memory context.
RuleKeys find_rule_keys(Query* query);

}  // namespace anomaly::pg
