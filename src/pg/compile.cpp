// One walk over the expression that appends core's nodes in post-order. Each function returns the
// number of the node that holds the value, or kNotNative: then the whole expression is left to
// PostgreSQL.
#include "pg/compile.h"

#include "pg/cell_codec.h"
#include "pg/compile_operators.h"

namespace anomaly::pg {

namespace {

constexpr int kNotNative = -1;
constexpr int kListNodesMax = 16;  // IN (...) up to this long becomes a chain of comparisons

struct Compiler {
    Index stream_varno;
    ExprNode* nodes;
    int count;
    int capacity;
    Node* case_argument;  // what CaseTestExpr stands for, NULL: outside of a simple CASE
};

int compile(Compiler* compiler, Node* node);

int append(Compiler* compiler, const ExprNode& node) {
    if (compiler->count == compiler->capacity) {
        compiler->capacity *= 2;
        compiler->nodes = static_cast<ExprNode*>(
            repalloc(compiler->nodes, sizeof(ExprNode) * static_cast<Size>(compiler->capacity)));
    }
    compiler->nodes[compiler->count] = node;
    return compiler->count++;
}

int append_op(Compiler* compiler, Op op, Type type, int a, int b, int c) {
    ExprNode node = {};
    node.op = op;
    node.type = type;
    node.args[0] = a;
    node.args[1] = b;
    node.args[2] = c;
    return append(compiler, node);
}

Type type_at(const Compiler* compiler, int index) {
    return compiler->nodes[index].type;
}

bool is_integer(Type type) {
    return type == Type::kInt2 || type == Type::kInt4 || type == Type::kInt8;
}

Type type_of(const Node* node) {
    return core_type(exprType(node), exprTypmod(node));
}

// ---- leaves ----

int compile_var(Compiler* compiler, const Var* var) {
    if (var->varno != static_cast<int>(compiler->stream_varno) || var->varlevelsup != 0 ||
        var->varattno <= 0) {
        return kNotNative;
    }
    ExprNode node = {};
    node.op = Op::kColumn;
    node.type = core_type(var->vartype, var->vartypmod);
    node.args[0] = node.args[1] = node.args[2] = -1;
    node.int_value = var->varattno - 1;
    return append(compiler, node);
}

int append_constant(Compiler* compiler, Type type, Datum value, bool is_null) {
    ExprNode node = {};
    node.op = Op::kConstant;
    node.type = type;
    node.args[0] = node.args[1] = node.args[2] = -1;
    node.is_null = is_null;
    if (is_null) return append(compiler, node);
    if (type == Type::kOpaque) return kNotNative;
    CellType cell_type = {};
    cell_type.type = type;
    uint64_t cells[3] = {};
    cells_from_datum(cell_type, value, cells);
    if (type == Type::kText) {
        node.text = reinterpret_cast<const char*>(cells[0]);
        node.text_size = static_cast<int32_t>(cells[1]);
    } else if (type == Type::kFloat4 || type == Type::kFloat8) {
        node.float_value = __builtin_bit_cast(double, cells[0]);
    } else {
        node.int_value = static_cast<int64_t>(cells[0]);
    }
    return append(compiler, node);
}

int compile_const(Compiler* compiler, const Const* constant) {
    return append_constant(compiler, core_type(constant->consttype, constant->consttypmod),
                           constant->constvalue, constant->constisnull);
}

// ---- functions and operators ----

// The value as `type`; the widening is exact.
int widen(Compiler* compiler, int index, Type type) {
    if (index == kNotNative) return kNotNative;
    const Type from = type_at(compiler, index);
    if (from == type || type == Type::kOpaque) return index;
    if (from == Type::kFloat4 && type == Type::kFloat8) {
        return append_op(compiler, Op::kFloat4ToFloat8, type, index, -1, -1);
    }
    if (is_integer(from) && is_integer(type) && from < type) {
        return append_op(compiler, Op::kIntToInt, type, index, -1, -1);
    }
    return kNotNative;
}

bool collation_is_fine(Op op, Oid collation) {
    if (is_text_equality(op)) {
        return OidIsValid(collation) && get_collation_isdeterministic(collation);
    }
    return !is_text_order(op) || collation == C_COLLATION_OID;
}

int append_known(Compiler* compiler, const KnownFunction* known, int a, int b) {
    a = widen(compiler, a, known->operand);
    if (b >= 0) b = widen(compiler, b, known->operand);
    if (a == kNotNative) return kNotNative;
    return append_op(compiler, known->op, known->result, a, b, -1);
}

// 10^k with k of 1 to 9, or 0. Digits behind the point do not matter: they make the quotient longer
// than it has to be, never shorter.
int power_of_ten(const Node* node) {
    if (!IsA(node, Const)) return 0;
    const Const* constant = reinterpret_cast<const Const*>(node);
    if (constant->consttype != NUMERICOID || constant->constisnull) return 0;
    int64 power = 1;
    for (int k = 1; k <= 9; k++) {
        power *= 10;
        if (DatumGetBool(DirectFunctionCall2(numeric_eq, constant->constvalue,
                                             NumericGetDatum(int64_to_numeric(power))))) {
            return k;
        }
    }
    return 0;
}

struct Call {
    Oid function;
    List* args;
    Oid collation;
};

bool take_call(Node* node, Call* call) {
    if (node != NULL && IsA(node, FuncExpr)) {
        const FuncExpr* function = castNode(FuncExpr, node);
        if (function->funcretset || function->funcvariadic) return false;
        *call = {function->funcid, function->args, function->inputcollid};
        return true;
    }
    if (node != NULL && IsA(node, OpExpr)) {
        OpExpr* op = castNode(OpExpr, node);
        set_opfuncid(op);
        if (op->opretset) return false;
        *call = {op->opfuncid, op->args, op->inputcollid};
        return true;
    }
    return false;
}

// (integer::numeric / 10^k)::float8: how JSON's milliseconds become seconds.
int compile_decimal_shift(Compiler* compiler, const Call& call) {
    Call division = {};
    Call widening = {};
    if (call.function != F_FLOAT8_NUMERIC) return kNotNative;
    if (!take_call(static_cast<Node*>(linitial(call.args)), &division)) return kNotNative;
    if (division.function != F_NUMERIC_DIV) return kNotNative;
    const int power = power_of_ten(static_cast<Node*>(lsecond(division.args)));
    if (power == 0) return kNotNative;
    if (!take_call(static_cast<Node*>(linitial(division.args)), &widening)) return kNotNative;
    if (widening.function != F_NUMERIC_INT2 && widening.function != F_NUMERIC_INT4 &&
        widening.function != F_NUMERIC_INT8) {
        return kNotNative;
    }
    int value = compile(compiler, static_cast<Node*>(linitial(widening.args)));
    value = widen(compiler, value, Type::kInt8);
    if (value == kNotNative) return kNotNative;
    const int result = append_op(compiler, Op::kIntDivPow10, Type::kFloat8, value, -1, -1);
    compiler->nodes[result].int_value = power;
    return result;
}

int compile_call(Compiler* compiler, Node* node) {
    Call call = {};
    if (!take_call(node, &call)) return kNotNative;
    const KnownFunction* known = find_known_function(call.function);
    if (known == NULL) return compile_decimal_shift(compiler, call);
    if (!collation_is_fine(known->op, call.collation)) return kNotNative;
    const int a = compile(compiler, static_cast<Node*>(linitial(call.args)));
    if (a == kNotNative) return kNotNative;
    if (list_length(call.args) == 1) return append_known(compiler, known, a, -1);
    const int b = compile(compiler, static_cast<Node*>(lsecond(call.args)));
    if (b == kNotNative || list_length(call.args) > 2) return kNotNative;
    return append_known(compiler, known, a, b);
}

// x IN (constants), x NOT IN (constants).
int compile_list(Compiler* compiler, ScalarArrayOpExpr* list) {
    Node* array_node = static_cast<Node*>(lsecond(list->args));
    set_sa_opfuncid(list);
    const KnownFunction* known = find_known_function(list->opfuncid);
    if (known == NULL || known->result != Type::kBool || !IsA(array_node, Const)) {
        return kNotNative;
    }
    const Const* constant = castNode(Const, array_node);
    if (constant->constisnull || !collation_is_fine(known->op, list->inputcollid)) {
        return kNotNative;
    }
    ArrayType* array = DatumGetArrayTypeP(constant->constvalue);
    const CellType element = cell_type(ARR_ELEMTYPE(array), -1);
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
        const int test = append_known(compiler, known, a, b);
        chain = i == 0 ? test
                       : append_op(compiler, list->useOr ? Op::kOr : Op::kAnd, Type::kBool, chain,
                                   test, -1);
    }
    return chain;
}

// ---- logic ----

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

// The same bits under another type: nothing to do where core sees the same type.
int compile_relabel(Compiler* compiler, const RelabelType* relabel, Type type) {
    const int argument = compile(compiler, reinterpret_cast<Node*>(relabel->arg));
    if (argument == kNotNative || type_at(compiler, argument) != type) return kNotNative;
    return argument;
}

int compile(Compiler* compiler, Node* node) {
    check_stack_depth();
    if (node == NULL) return kNotNative;
    switch (nodeTag(node)) {
        case T_Var:
            return compile_var(compiler, castNode(Var, node));
        case T_Const:
            return compile_const(compiler, castNode(Const, node));
        case T_FuncExpr:
        case T_OpExpr:
            return compile_call(compiler, node);
        case T_ScalarArrayOpExpr:
            return compile_list(compiler, castNode(ScalarArrayOpExpr, node));
        case T_BoolExpr:
            return compile_bool(compiler, castNode(BoolExpr, node));
        case T_NullTest:
            return compile_null_test(compiler, castNode(NullTest, node));
        case T_BooleanTest:
            return compile_boolean_test(compiler, castNode(BooleanTest, node));
        case T_CaseExpr:
            return compile_case(compiler, castNode(CaseExpr, node), type_of(node));
        case T_CaseTestExpr:
            return compile_case_test(compiler);
        case T_CoalesceExpr:
            return compile_coalesce(compiler, castNode(CoalesceExpr, node), type_of(node));
        case T_RelabelType:
            return compile_relabel(compiler, castNode(RelabelType, node), type_of(node));
        default:
            return kNotNative;
    }
}

}  // namespace

bool compile_expr(Node* expr, Index stream_varno, ExprSpec* out) {
    constexpr int kFirstCapacity = 16;
    Compiler compiler = {};
    compiler.stream_varno = stream_varno;
    compiler.capacity = kFirstCapacity;
    compiler.nodes = static_cast<ExprNode*>(palloc(sizeof(ExprNode) * kFirstCapacity));
    *out = {};
    out->type = type_of(expr);
    const int root = compile(&compiler, expr);
    if (root == kNotNative || type_at(&compiler, root) != out->type) return false;
    Assert(root == compiler.count - 1);
    out->nodes = compiler.nodes;
    out->node_count = compiler.count;
    return true;
}

}  // namespace anomaly::pg
