#include <cmath>
#include <string_view>

#include "core/program/program_node.h"

namespace anomaly::program {
namespace {

// Each order is given by its "less than"; the six operators follow from it.
struct IntOrder {
    using Value = int64_t;
    static Value load(const uint64_t* cells, size_t i) { return to_int(cells[i]); }
    static bool less(Value a, Value b) { return a < b; }
    static bool equal(Value a, Value b) { return a == b; }
};

// NaN equals NaN and is greater than all else.
struct FloatOrder {
    using Value = double;
    static Value load(const uint64_t* cells, size_t i) { return to_float(cells[i]); }
    static bool less(Value a, Value b) { return std::isnan(b) ? !std::isnan(a) : a < b; }
    static bool equal(Value a, Value b) { return std::isnan(b) ? std::isnan(a) : a == b; }
};

struct TextOrder {
    using Value = std::string_view;
    static Value load(const uint64_t* cells, size_t i) {
        return {reinterpret_cast<const char*>(cells[2 * i]), cells[2 * i + 1]};
    }
    static bool less(Value a, Value b) { return a < b; }  // as unsigned bytes, like memcmp
    static bool equal(Value a, Value b) { return a == b; }
};

template <class Order, class F>
void compare(Operand a, Operand b, size_t n, Output out, F f) {
    for (size_t i = 0; i < n; i++) {
        auto state = static_cast<uint8_t>(a.states[i] | b.states[i]);
        out.states[i] = state;
        out.cells[i] =
            state == 0 && f(Order::load(a.cells, i), Order::load(b.cells, i)) ? uint64_t{1} : 0;
    }
}

// `which` counts from Eq: Eq, Ne, Lt, Le, Gt, Ge.
template <class Order>
void compare_by(int which, Operand a, Operand b, size_t n, Output out) {
    using V = typename Order::Value;
    switch (which) {
        case 0:
            return compare<Order>(a, b, n, out, [](V x, V y) { return Order::equal(x, y); });
        case 1:
            return compare<Order>(a, b, n, out, [](V x, V y) { return !Order::equal(x, y); });
        case 2:
            return compare<Order>(a, b, n, out, [](V x, V y) { return Order::less(x, y); });
        case 3:
            return compare<Order>(a, b, n, out, [](V x, V y) { return !Order::less(y, x); });
        case 4:
            return compare<Order>(a, b, n, out, [](V x, V y) { return Order::less(y, x); });
        default:
            return compare<Order>(a, b, n, out, [](V x, V y) { return !Order::less(x, y); });
    }
}

constexpr int distance(Op from, Op to) {
    return static_cast<int>(to) - static_cast<int>(from);
}
static_assert(distance(Op::kIntEq, Op::kIntGe) == 5);
static_assert(distance(Op::kFloatEq, Op::kFloatGe) == 5);
static_assert(distance(Op::kTextEq, Op::kTextGe) == 5);

}  // namespace

void evaluate_comparison(const ExprNode& node, Operand a, Operand b, size_t n, Output out) {
    if (node.op <= Op::kIntGe) {
        compare_by<IntOrder>(distance(Op::kIntEq, node.op), a, b, n, out);
    } else if (node.op <= Op::kFloatGe) {
        compare_by<FloatOrder>(distance(Op::kFloatEq, node.op), a, b, n, out);
    } else {
        compare_by<TextOrder>(distance(Op::kTextEq, node.op), a, b, n, out);
    }
}

}  // namespace anomaly::program
