// Rules depend on their functions by name, since PostgreSQL's catalog knows no rules: a function
// that a rule uses is dropped only with CASCADE, and then with the rule; renamed, the rule follows.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Raises an error if a function is to be dropped, without CASCADE, that a rule uses.
void check_rules_of_dropped(const DropStmt* drop);

// A function, or a whole schema, that is about to have another name.
struct RuleRename {
    Oid function;  // InvalidOid: the schema
    const char* old_name;
    const char* new_name;  // of the schema
};

// False: the statement is nothing to rules. Call before and after it is run.
bool begin_rule_rename(Node* statement, RuleRename* rename);
void end_rule_rename(const RuleRename& rename);

// However a function is dropped, its rules go with it.
void install_rule_drop_hook();

}  // namespace anomaly::pg
