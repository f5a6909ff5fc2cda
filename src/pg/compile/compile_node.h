// Inside of the compiler of expressions: what its files share. Each compile function appends nodes
// in post-order and returns the number of the one that holds the value, or kNotNative: then the
// whole expression is left to PostgreSQL.
#pragma once

#include "core/expr.h"
#include "pg/pg.h"

namespace anomaly::pg {

constexpr int kNotNative = -1;

struct Compiler {
    Index stream_varno;
    ExprNode* nodes;
    int count;
    int capacity;
    Node* case_argument;  // what CaseTestExpr stands for, NULL: outside of a simple CASE
};

struct Call {
    Oid function;
    List* args;
    Oid collation;
};

int compile(Compiler* compiler, Node* node);

int append_op(Compiler* compiler, Op op, Type type, int a, int b, int c);
int append_constant(Compiler* compiler, Type type, Datum value, bool is_null);
// The value as `type`; the widening is exact. kOpaque: as it is.
int widen(Compiler* compiler, int index, Type type);
// A function or operator that gives one value.
bool take_call(Node* node, Call* call);
// Known functions over values that are compiled already; b, c: kNotNative where there is none.
struct KnownFunction;
int append_known(Compiler* compiler, const KnownFunction* known, Oid collation, int a, int b,
                 int c);

inline Type type_at(const Compiler* compiler, int index) {
    return compiler->nodes[index].type;
}

// compile_logic.cpp: what is not strict.
int compile_bool(Compiler* compiler, const BoolExpr* expr);
int compile_null_test(Compiler* compiler, const NullTest* test);
int compile_boolean_test(Compiler* compiler, const BooleanTest* test);
int compile_case(Compiler* compiler, const CaseExpr* expr, Type type);
int compile_case_test(Compiler* compiler);
int compile_coalesce(Compiler* compiler, const CoalesceExpr* expr, Type type);
int compile_null_if(Compiler* compiler, NullIfExpr* expr);
int compile_distinct(Compiler* compiler, DistinctExpr* expr);
int compile_min_max(Compiler* compiler, const MinMaxExpr* expr, Type type);
int compile_list(Compiler* compiler, ScalarArrayOpExpr* list);

// compile_special.cpp: calls that are native for some of their arguments only.
int compile_special(Compiler* compiler, const Call& call);
int compile_io_cast(Compiler* compiler, const CoerceViaIO* cast, Type type);

}  // namespace anomaly::pg
