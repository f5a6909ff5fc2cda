// What became of the rules of a commit: figures, errors, pauses of those that fail again and again,
// gaps in what they have looked at, and the events that tell of them.
#pragma once

#include "pg/pg.h"
#include "pg/rule/rule_set.h"

namespace anomaly::pg {

// Writes the results of evaluate_rules, in few statements and as the superuser of the worker. Never
// waits: who changes a rule in a transaction that stays open keeps only that rule's figures back.
// Evaluations that found nothing are only counted, until something else is written of the rule or
// figures_due_us has come. Events are added to the list (of Event*), in `target`. Needs
// SPI_connect.
void store_rule_outcomes(RuleSet* rules, MemoryContext target, List** events);

// Writes what is only counted so far. Needs a transaction and SPI_connect.
void store_quiet_figures(RuleSet* rules);

// These rules (a list of Rule*) shared the query that ended the worker. A single one is disabled;
// of several it is not known which it was, and they are only marked as failing, so that each is
// evaluated by itself from now on.
void store_lost_worker(const List* rules, const char* error, List** events);

}  // namespace anomaly::pg
