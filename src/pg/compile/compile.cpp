// One walk over the expression that appends core's nodes (pg/compile/compile_node.h).
#include "pg/compile/compile.h"

#include "pg/compile/compile_node.h"
#include "pg/compile/compile_operators.h"
#include "pg/value/cell_codec.h"

namespace anomaly::pg {

namespace {

int append(Compiler* compiler, const ExprNode& node) {
    if (compiler->count == compiler->capacity) {
        compiler->capacity *= 2;
        compiler->nodes = static_cast<ExprNode*>(
            repalloc(compiler->nodes, sizeof(ExprNode) * static_cast<Size>(compiler->capacity)));
    }
    compiler->nodes[compiler->count] = node;
    return compiler->count++;
}

bool is_integer(Type type) {
    return type == Type::kInt2 || type == Type::kInt4 || type == Type::kInt8;
}

Type type_of(const Node* node) {
    return core_type(exprType(node));
}

int compile_var(Compiler* compiler, const Var* var) {
    if (var->varno != static_cast<int>(compiler->stream_varno) || var->varlevelsup != 0 ||
        var->varattno <= 0) {
        return kNotNative;
    }
    ExprNode node = {};
    node.op = Op::kColumn;
    node.type = core_type(var->vartype);
    node.args[0] = node.args[1] = node.args[2] = -1;
    node.int_value = var->varattno - 1;
    return append(compiler, node);
}

}  // namespace

int append_op(Compiler* compiler, Op op, Type type, int a, int b, int c) {
    ExprNode node = {};
    node.op = op;
    node.type = type;
    node.args[0] = a;
    node.args[1] = b;
    node.args[2] = c;
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
    if (has_bytes(type)) {
        node.text = reinterpret_cast<const char*>(cells[0]);
        node.text_size = static_cast<int32_t>(cells[1]);
    } else if (type == Type::kFloat4 || type == Type::kFloat8) {
        node.float_value = __builtin_bit_cast(double, cells[0]);
    } else {
        node.int_value = static_cast<int64_t>(cells[0]);
    }
    return append(compiler, node);
}

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

// Texts need to know what a character is.
int append_known(Compiler* compiler, const KnownFunction* known, Oid collation, int a, int b,
                 int c) {
    if (!text_is_fine(known->op, collation)) return kNotNative;
    a = widen(compiler, a, known->operand);
    if (b >= 0) b = widen(compiler, b, known->operand);
    if (a == kNotNative) return kNotNative;
    const int result = append_op(compiler, known->op, known->result, a, b, c);
    if (counts_characters(known->op)) {
        compiler->nodes[result].int_value = GetDatabaseEncoding() == PG_UTF8;
    }
    return result;
}

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

namespace {

int compile_const(Compiler* compiler, const Const* constant) {
    return append_constant(compiler, core_type(constant->consttype), constant->constvalue,
                           constant->constisnull);
}

int compile_call(Compiler* compiler, Node* node) {
    Call call = {};
    int args[3] = {kNotNative, kNotNative, kNotNative};
    if (!take_call(node, &call)) return kNotNative;
    const KnownFunction* known = find_known_function(call.function);
    if (known == NULL) return compile_special(compiler, call);
    if (list_length(call.args) > 3) return kNotNative;
    for (int i = 0; i < list_length(call.args); i++) {
        args[i] = compile(compiler, static_cast<Node*>(list_nth(call.args, i)));
        if (args[i] == kNotNative) return kNotNative;
    }
    return append_known(compiler, known, call.collation, args[0], args[1], args[2]);
}

// The same bits under another type: nothing to do where core sees the same type.
int compile_relabel(Compiler* compiler, const RelabelType* relabel, Type type) {
    const int argument = compile(compiler, reinterpret_cast<Node*>(relabel->arg));
    if (argument == kNotNative || type_at(compiler, argument) != type) return kNotNative;
    return argument;
}

}  // namespace

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
        case T_NullIfExpr:
            return compile_null_if(compiler, castNode(NullIfExpr, node));
        case T_DistinctExpr:
            return compile_distinct(compiler, castNode(DistinctExpr, node));
        case T_MinMaxExpr:
            return compile_min_max(compiler, castNode(MinMaxExpr, node), type_of(node));
        case T_CoerceViaIO:
            return compile_io_cast(compiler, castNode(CoerceViaIO, node), type_of(node));
        case T_RelabelType:
            return compile_relabel(compiler, castNode(RelabelType, node), type_of(node));
        default:
            return kNotNative;
    }
}

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
