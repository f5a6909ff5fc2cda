// PostgreSQL's expression trees to core's programs, where core gives exactly the same result, and
// the question whether an expression may be part of a continuous table at all.
//
// Correctness never depends on anything being recognized here: what is not native is evaluated by
// PostgreSQL's executor (pg/evaluate/referee.h).
#pragma once

#include "core/expr.h"
#include "pg/pg.h"

namespace anomaly::pg {

// `expr` went through eval_const_expressions; Vars of stream_varno become columns (attribute number
// - 1). True: *out is a program, palloc'd. False: not native; *out has no nodes, but its type.
bool compile_expr(Node* expr, Index stream_varno, ExprSpec* out);

// Raises an error that names the function unless every function in the expression (or list of
// them) is immutable, or stable and dependent only on settings that are pinned at CREATE.
void check_maintainable(Node* expr);

}  // namespace anomaly::pg
