// The time limit of a rule: a query cancel, again and again, since a rule may swallow one. A rule
// that swallows them all ends the worker, and is disabled on the way out, durably, so that it
// cannot do so twice; so is one that ends its worker itself. If several share the query, nobody
// knows which it was: each is evaluated by itself from then on. For stream workers only.
#pragma once

#include "pg/pg.h"
#include "pg/rule/rule_set.h"

namespace anomaly::pg {

// Around a query of one rule or of several, whose names must live until the stop.
void start_rule_limit(Rule* const* rules, int count, int limit_ms);
void stop_rule_limit();

}  // namespace anomaly::pg
