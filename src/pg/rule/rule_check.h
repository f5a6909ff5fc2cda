// What a rule may be: its table, its function, when it is evaluated. For the functions that make
// and change rules; each raises an error with a way out.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// A continuous table that the caller owns.
void check_rule_table(Oid table);

struct RuleFunction {
    char* name;          // qualified and quoted
    const char* result;  // boolean, text or finding
};

// A function of a row of the table (and a jsonb) that returns what a rule may, and that the table's
// owner may execute.
RuleFunction check_rule_function(const char* name, Oid table, bool with_parameters);

// close or update; `evaluate` may be NULL.
const char* check_rule_evaluate(const char* evaluate, Oid table);

[[noreturn]] void raise_no_rule(const char* name);

char* qualified_function_name(Oid function);

}  // namespace anomaly::pg
