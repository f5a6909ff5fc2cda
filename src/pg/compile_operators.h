// What core has an operation for: PostgreSQL's functions by oid.
#pragma once

#include "core/expr.h"
#include "pg/pg.h"

namespace anomaly::pg {

struct KnownFunction {
    Oid function;
    Op op;
    Type result;
    // What each argument is widened to before the operation; kOpaque: nothing, as it is.
    Type operand;
};

// NULL: none of them.
const KnownFunction* find_known_function(Oid function);

// Is the operation one on text? Equality needs a deterministic collation, order the C collation.
bool is_text_equality(Op op);
bool is_text_order(Op op);

}  // namespace anomaly::pg
