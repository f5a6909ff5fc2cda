// Operations that are not strict. They look at an operand's unsureness only where PostgreSQL would
// evaluate that operand: an error in a branch that is not taken is no error.
#include "core/program/program_node.h"

namespace anomaly::program {
namespace {

// AND with absorbing = 0, OR with absorbing = 1: that value on the left decides by itself.
void and_or(uint64_t absorbing, Operand a, Operand b, size_t n, Output out) {
    for (size_t i = 0; i < n; i++) {
        uint8_t left = a.states[i];
        uint8_t right = b.states[i];
        uint8_t state = 0;
        uint64_t value = absorbing;
        if ((left & kUnsure) != 0) {
            state = kUnsure;
        } else if (left == 0 && a.cells[i] == absorbing) {
            state = 0;
        } else if ((right & kUnsure) != 0) {
            state = kUnsure;
        } else if (right != 0 || b.cells[i] != absorbing) {
            state = static_cast<uint8_t>(left | right);
            value = absorbing ^ 1;
        }
        out.cells[i] = value;
        out.states[i] = state;
    }
}

// Tests that never give NULL: the answer for a NULL, and the value that answers true.
void test(uint64_t if_null, uint64_t true_for, Operand a, size_t n, Output out) {
    for (size_t i = 0; i < n; i++) {
        uint8_t state = a.states[i];
        uint64_t answer = a.cells[i] == true_for ? 1 : 0;
        out.cells[i] = (state & kNull) != 0 ? if_null : answer;
        out.states[i] = state & kUnsure;
    }
}

void test_null(uint64_t if_null, Operand a, size_t n, Output out) {
    for (size_t i = 0; i < n; i++) {
        out.cells[i] = (a.states[i] & kNull) != 0 ? if_null : if_null ^ 1;
        out.states[i] = a.states[i] & kUnsure;
    }
}

void take(Operand from, size_t row, size_t width, Output out) {
    for (size_t c = 0; c < width; c++) out.cells[row * width + c] = from.cells[row * width + c];
    out.states[row] = from.states[row];
}

void take_if(Operand condition, Operand then, Operand otherwise, size_t n, size_t width,
             Output out) {
    for (size_t i = 0; i < n; i++) {
        bool is_true = condition.states[i] == 0 && condition.cells[i] != 0;
        take(is_true ? then : otherwise, i, width, out);
        out.states[i] |= condition.states[i] & kUnsure;
    }
}

// An unsure first operand has a state other than kNull and so stays.
void coalesce(Operand a, Operand b, size_t n, size_t width, Output out) {
    for (size_t i = 0; i < n; i++) take(a.states[i] == kNull ? b : a, i, width, out);
}

}  // namespace

void evaluate_logic(const ExprNode& node, Operand a, Operand b, Operand c, size_t n, Output out) {
    auto width = static_cast<size_t>(stride(node.type));
    switch (node.op) {
        case Op::kAnd:
            return and_or(0, a, b, n, out);
        case Op::kOr:
            return and_or(1, a, b, n, out);
        case Op::kNot:
            return strict_unary(a, n, out, [](uint64_t x, uint64_t* r) {
                *r = x ^ 1;
                return true;
            });
        case Op::kIsNull:
            return test_null(1, a, n, out);
        case Op::kIsNotNull:
            return test_null(0, a, n, out);
        case Op::kIsTrue:
            return test(0, 1, a, n, out);
        case Op::kIsFalse:
            return test(0, 0, a, n, out);
        case Op::kIsNotTrue:
            return test(1, 0, a, n, out);
        case Op::kIsNotFalse:
            return test(1, 1, a, n, out);
        case Op::kIf:
            return take_if(a, b, c, n, width, out);
        default:  // kCoalesce
            return coalesce(a, b, n, width, out);
    }
}

}  // namespace anomaly::program
