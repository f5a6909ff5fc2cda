// The parameters of the rules of a group, as the relation that their query reads: kept from commit
// to commit, as long as it is the same rules that share the query.
#pragma once

#include "pg/pg.h"
#include "pg/rule/rule_set.h"

namespace anomaly::pg {

// Registers them for the query; needs SPI_connect. To be unregistered by the caller (by
// kParametersName), whatever became of the query.
void register_parameters(RuleSet* set, RuleGroup* group, Rule* const* rules, int count);

}  // namespace anomaly::pg
