// The time limit of a rule: a query cancel, again and again, since a rule may swallow one. A rule
// that swallows them all ends the worker, and is disabled on the way out, durably, so that it
// cannot do so twice. For stream workers only.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Around the evaluation of one rule; the name must live as long as the process, or until the stop.
void start_rule_limit(const char* rule);
void stop_rule_limit();

}  // namespace anomaly::pg
