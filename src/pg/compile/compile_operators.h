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

// Does the operation depend on what a character is?
bool counts_characters(Op op);
// Is the operation exact under the collation and the database's encoding? Equality and search need
// a deterministic collation, order one that compares bytes, letters the C locale.
bool text_is_fine(Op op, Oid collation);

}  // namespace anomaly::pg
