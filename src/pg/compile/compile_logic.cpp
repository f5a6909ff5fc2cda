// What is not strict: an operand whose value does not matter may raise nothing.
#include "pg/compile/compile_node.h"
#include "pg/compile/compile_operators.h"
#include "pg/value/cell_codec.h"

namespace anomaly::pg {

namespace {

constexpr int kListNodesMax = 16;  // IN (...) up to this long becomes a chain of comparisons

// The comparison `function` of two compiled values.
int append_comparison(Compiler* compiler, Oid function, Oid collation, int a, int b) {
    const KnownFunction* known = find_known_function(function);
    if (known == NULL || known->result != Type::kBool) return kNotNative;
    return append_known(compiler, known, collation, a, b, kNotNative);
}

int append_null(Compiler* compiler, Type type) {
    return append_constant(compiler, type, 0, true);
}

int append_bool(Compiler* compiler, bool value) {
    return append_constant(compiler, Type::kBool, BoolGetDatum(value), false);
}

Op boolean_test_op(BoolTestType type) {
    switch (type) {
        case IS_TRUE:
            return Op::kIsTrue;
        case IS_NOT_TRUE:
            return Op::kIsNotTrue;
        case IS_FALSE:
            return Op::kIsFalse;
        case IS_NOT_FALSE:
            return Op::kIsNotFalse;
        case IS_UNKNOWN:
            return Op::kIsNull;
        case IS_NOT_UNKNOWN:
            return Op::kIsNotNull;
    }
    pg_unreachable();
}

Oid less_function(Oid type) {
    const Oid less = lookup_type_cache(type, TYPECACHE_LT_OPR)->lt_opr;
    return OidIsValid(less) ? get_opcode(less) : InvalidOid;
}

// Of two, NULLs aside, the first unless the second is better:
// CASE WHEN a IS NULL THEN b WHEN b IS NULL THEN a WHEN better(b, a) THEN b ELSE a END
int append_better(Compiler* compiler, const MinMaxExpr* expr, Type type, int a, int b) {
    const bool greatest = expr->op == IS_GREATEST;
    const Oid less = less_function(expr->minmaxtype);
    const int better =
        append_comparison(compiler, less, expr->inputcollid, greatest ? a : b, greatest ? b : a);
    if (better == kNotNative) return kNotNative;
    const int chosen = append_op(compiler, Op::kIf, type, better, b, a);
    const int b_null = append_op(compiler, Op::kIsNull, Type::kBool, b, -1, -1);
    const int by_b = append_op(compiler, Op::kIf, type, b_null, a, chosen);
    const int a_null = append_op(compiler, Op::kIsNull, Type::kBool, a, -1, -1);
    return append_op(compiler, Op::kIf, type, a_null, b, by_b);
}

}  // namespace

// x IN (constants), x NOT IN (constants).
int compile_list(Compiler* compiler, ScalarArrayOpExpr* list) {
    Node* array_node = static_cast<Node*>(lsecond(list->args));
    set_sa_opfuncid(list);
    const KnownFunction* known = find_known_function(list->opfuncid);
    if (known == NULL || known->result != Type::kBool || !IsA(array_node, Const)) {
        return kNotNative;
    }
    const Const* constant = castNode(Const, array_node);
    if (constant->constisnull) return kNotNative;
    ArrayType* array = DatumGetArrayTypeP(constant->constvalue);
    const CellType element = cell_type(ARR_ELEMTYPE(array));
    char alignment;
    int16 length;
    bool by_value;
    get_typlenbyvalalign(element.oid, &length, &by_value, &alignment);
    Datum* values;
    bool* nulls;
    int count;
    deconstruct_array(array, element.oid, length, by_value, alignment, &values, &nulls, &count);
    if (count == 0 || count > kListNodesMax) return kNotNative;
    int chain = kNotNative;
    for (int i = 0; i < count; i++) {
        const int a = compile(compiler, static_cast<Node*>(linitial(list->args)));
        if (a == kNotNative) return kNotNative;
        const int b = append_constant(compiler, element.type, values[i], nulls[i]);
        if (b == kNotNative) return kNotNative;
        const int test = append_known(compiler, known, list->inputcollid, a, b, kNotNative);
        if (test == kNotNative) return kNotNative;
        chain = i == 0 ? test
                       : append_op(compiler, list->useOr ? Op::kOr : Op::kAnd, Type::kBool, chain,
                                   test, -1);
    }
    return chain;
}

int compile_bool(Compiler* compiler, const BoolExpr* expr) {
    int chain = kNotNative;
    ListCell* cell;
    foreach (cell, expr->args) {
        const int argument = compile(compiler, static_cast<Node*>(lfirst(cell)));
        if (argument == kNotNative) return kNotNative;
        if (expr->boolop == NOT_EXPR) {
            return append_op(compiler, Op::kNot, Type::kBool, argument, -1, -1);
        }
        const Op op = expr->boolop == AND_EXPR ? Op::kAnd : Op::kOr;
        chain = chain == kNotNative ? argument
                                    : append_op(compiler, op, Type::kBool, chain, argument, -1);
    }
    return chain;
}

int compile_null_test(Compiler* compiler, const NullTest* test) {
    Node* arg = reinterpret_cast<Node*>(test->arg);
    if (test->argisrow || type_is_rowtype(exprType(arg))) return kNotNative;
    const int argument = compile(compiler, arg);
    if (argument == kNotNative) return kNotNative;
    const Op op = test->nulltesttype == IS_NULL ? Op::kIsNull : Op::kIsNotNull;
    return append_op(compiler, op, Type::kBool, argument, -1, -1);
}

int compile_boolean_test(Compiler* compiler, const BooleanTest* test) {
    const int argument = compile(compiler, reinterpret_cast<Node*>(test->arg));
    if (argument == kNotNative) return kNotNative;
    return append_op(compiler, boolean_test_op(test->booltesttype), Type::kBool, argument, -1, -1);
}

// From the last WHEN to the first: each is the ELSE of the one before.
int compile_case(Compiler* compiler, const CaseExpr* expr, Type type) {
    if (expr->defresult == NULL) return kNotNative;
    Node* outer_argument = compiler->case_argument;
    int chain = compile(compiler, reinterpret_cast<Node*>(expr->defresult));
    for (int i = list_length(expr->args) - 1; i >= 0 && chain != kNotNative; i--) {
        const CaseWhen* when = list_nth_node(CaseWhen, expr->args, i);
        // A simple CASE compares its argument, which CaseTestExpr stands for in each condition.
        compiler->case_argument = reinterpret_cast<Node*>(expr->arg);
        const int condition = compile(compiler, reinterpret_cast<Node*>(when->expr));
        compiler->case_argument = outer_argument;
        if (condition == kNotNative) return kNotNative;
        const int value = compile(compiler, reinterpret_cast<Node*>(when->result));
        if (value == kNotNative) return kNotNative;
        if (type_at(compiler, value) != type || type_at(compiler, chain) != type) {
            return kNotNative;
        }
        chain = append_op(compiler, Op::kIf, type, condition, value, chain);
    }
    return chain;
}

int compile_case_test(Compiler* compiler) {
    Node* argument = compiler->case_argument;
    if (argument == NULL) return kNotNative;
    compiler->case_argument = NULL;
    const int result = compile(compiler, argument);
    compiler->case_argument = argument;
    return result;
}

int compile_coalesce(Compiler* compiler, const CoalesceExpr* expr, Type type) {
    int chain = kNotNative;
    ListCell* cell;
    foreach (cell, expr->args) {
        const int argument = compile(compiler, static_cast<Node*>(lfirst(cell)));
        if (argument == kNotNative || type_at(compiler, argument) != type) return kNotNative;
        chain = chain == kNotNative ? argument
                                    : append_op(compiler, Op::kCoalesce, type, chain, argument, -1);
    }
    return chain;
}

// NULL where both are equal, else the first.
int compile_null_if(Compiler* compiler, NullIfExpr* expr) {
    set_opfuncid(expr);
    const int a = compile(compiler, static_cast<Node*>(linitial(expr->args)));
    if (a == kNotNative) return kNotNative;
    const int b = compile(compiler, static_cast<Node*>(lsecond(expr->args)));
    if (b == kNotNative) return kNotNative;
    const Type type = type_at(compiler, a);
    const int equal = append_comparison(compiler, expr->opfuncid, expr->inputcollid, a, b);
    if (equal == kNotNative) return kNotNative;
    const int null = append_null(compiler, type);
    return append_op(compiler, Op::kIf, type, equal, null, a);
}

// CASE WHEN a IS NULL THEN b IS NOT NULL WHEN b IS NULL THEN true ELSE NOT a = b END
int compile_distinct(Compiler* compiler, DistinctExpr* expr) {
    constexpr Type kBool = Type::kBool;
    set_opfuncid(expr);
    const int a = compile(compiler, static_cast<Node*>(linitial(expr->args)));
    if (a == kNotNative) return kNotNative;
    const int b = compile(compiler, static_cast<Node*>(lsecond(expr->args)));
    if (b == kNotNative) return kNotNative;
    const int equal = append_comparison(compiler, expr->opfuncid, expr->inputcollid, a, b);
    if (equal == kNotNative) return kNotNative;
    const int differs = append_op(compiler, Op::kNot, kBool, equal, -1, -1);
    const int b_null = append_op(compiler, Op::kIsNull, kBool, b, -1, -1);
    const int yes = append_bool(compiler, true);
    const int by_b = append_op(compiler, Op::kIf, kBool, b_null, yes, differs);
    const int b_there = append_op(compiler, Op::kIsNotNull, kBool, b, -1, -1);
    const int a_null = append_op(compiler, Op::kIsNull, kBool, a, -1, -1);
    return append_op(compiler, Op::kIf, kBool, a_null, b_there, by_b);
}

// GREATEST and LEAST.
int compile_min_max(Compiler* compiler, const MinMaxExpr* expr, Type type) {
    int best = kNotNative;
    ListCell* cell;
    foreach (cell, expr->args) {
        const int argument = compile(compiler, static_cast<Node*>(lfirst(cell)));
        if (argument == kNotNative || type_at(compiler, argument) != type) return kNotNative;
        best = best == kNotNative ? argument : append_better(compiler, expr, type, best, argument);
        if (best == kNotNative) return kNotNative;
    }
    return best;
}

}  // namespace anomaly::pg
