#include <cmath>
#include <limits>

#include "core/program/program_node.h"

namespace anomaly::program {
namespace {

struct Range {
    int64_t low;
    int64_t high;
    bool holds(int64_t value) const { return value >= low && value <= high; }
};

template <class T>
constexpr Range range_of() {
    return {std::numeric_limits<T>::min(), std::numeric_limits<T>::max()};
}

Range range_of(Type type) {
    if (type == Type::kInt2) return range_of<int16_t>();
    if (type == Type::kInt4) return range_of<int32_t>();
    return range_of<int64_t>();
}

bool int_div(int64_t a, int64_t b, int64_t* result) {
    if (b == 0 || (b == -1 && a == INT64_MIN)) return false;
    *result = a / b;
    return true;
}

bool int_mod(int64_t a, int64_t b, int64_t* result) {
    if (b == 0) return false;
    *result = b == -1 ? 0 : a % b;  // INT64_MIN % -1 traps on some machines
    return true;
}

// The checks are those of PostgreSQL's float8_mul and float8_div, and of float4's.
template <class Float>
bool float_mul(Float a, Float b, Float* result) {
    *result = a * b;
    if (std::isinf(*result)) return std::isinf(a) || std::isinf(b);
    return *result != 0 || a == 0 || b == 0;
}

template <class Float>
bool float_div(Float a, Float b, Float* result) {
    if (b == 0) return false;
    *result = a / b;
    if (std::isinf(*result)) return std::isinf(a);
    return *result != 0 || a == 0 || std::isinf(b);
}

// An infinite sum is an error in PostgreSQL unless an operand was infinite.
template <class Float>
bool float_add(Float a, Float b, Float* result) {
    *result = a + b;
    return !std::isinf(*result) || std::isinf(a) || std::isinf(b);
}

template <class Float>
bool float_sub(Float a, Float b, Float* result) {
    return float_add(a, -b, result);
}

template <class F>
void int_binary(Type type, Operand a, Operand b, size_t n, Output out, F f) {
    Range range = range_of(type);
    strict_binary(a, b, n, out, [=](uint64_t x, uint64_t y, uint64_t* result) {
        int64_t value = 0;
        bool sure = f(to_int(x), to_int(y), &value) && range.holds(value);
        *result = from_int(value);
        return sure;
    });
}

template <class Float, class F>
void float_binary(Operand a, Operand b, size_t n, Output out, F f) {
    strict_binary(a, b, n, out, [=](uint64_t x, uint64_t y, uint64_t* result) {
        Float value = 0;
        bool sure = f(static_cast<Float>(to_float(x)), static_cast<Float>(to_float(y)), &value);
        *result = from_float(static_cast<double>(value));
        return sure;
    });
}

// `which` counts from Add: Add, Sub, Mul, Div.
template <class Float>
void float_by(int which, Operand a, Operand b, size_t n, Output out) {
    switch (which) {
        case 0:
            return float_binary<Float>(a, b, n, out, float_add<Float>);
        case 1:
            return float_binary<Float>(a, b, n, out, float_sub<Float>);
        case 2:
            return float_binary<Float>(a, b, n, out, float_mul<Float>);
        default:
            return float_binary<Float>(a, b, n, out, float_div<Float>);
    }
}

void evaluate_int(const ExprNode& node, Operand a, Operand b, size_t n, Output out) {
    switch (node.op) {
        case Op::kIntAdd:
            return int_binary(node.type, a, b, n, out, [](int64_t x, int64_t y, int64_t* r) {
                return !__builtin_add_overflow(x, y, r);
            });
        case Op::kIntSub:
            return int_binary(node.type, a, b, n, out, [](int64_t x, int64_t y, int64_t* r) {
                return !__builtin_sub_overflow(x, y, r);
            });
        case Op::kIntMul:
            return int_binary(node.type, a, b, n, out, [](int64_t x, int64_t y, int64_t* r) {
                return !__builtin_mul_overflow(x, y, r);
            });
        case Op::kIntDiv:
            return int_binary(node.type, a, b, n, out, int_div);
        case Op::kIntMod:
            return int_binary(node.type, a, b, n, out, int_mod);
        default:  // kIntNeg: 0 - a
            return int_binary(node.type, a, a, n, out, [](int64_t x, int64_t, int64_t* r) {
                return !__builtin_sub_overflow(int64_t{0}, x, r);
            });
    }
}

}  // namespace

void evaluate_arithmetic(const ExprNode& node, Operand a, Operand b, size_t n, Output out) {
    switch (node.op) {
        case Op::kFloatAdd:
        case Op::kFloatSub:
        case Op::kFloatMul:
        case Op::kFloatDiv:
            return float_by<double>(static_cast<int>(node.op) - static_cast<int>(Op::kFloatAdd), a,
                                    b, n, out);
        case Op::kFloat4Add:
        case Op::kFloat4Sub:
        case Op::kFloat4Mul:
        case Op::kFloat4Div:
            return float_by<float>(static_cast<int>(node.op) - static_cast<int>(Op::kFloat4Add), a,
                                   b, n, out);
        case Op::kFloatNeg:
            return strict_unary(a, n, out, [](uint64_t x, uint64_t* r) {
                *r = from_float(-to_float(x));
                return true;
            });
        default:
            return evaluate_int(node, a, b, n, out);
    }
}

}  // namespace anomaly::program
