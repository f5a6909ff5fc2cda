// Functions of numbers, as PostgreSQL's float.c has them; where it raises, or where its library's
// answer is not worth reasoning about (infinities, NaN), the row is unsure.
#include <cmath>

#include "core/program/program_node.h"

namespace anomaly::program {
namespace {

// f(x) -> result; never raises.
template <class F>
void total(Operand a, size_t n, Output out, F f) {
    strict_unary(a, n, out, [f](uint64_t x, uint64_t* r) {
        *r = from_float(f(to_float(x)));
        return true;
    });
}

// f(x) -> result, sure only where the argument is in the domain and the result is an ordinary
// number: neither overflow nor underflow.
template <class Domain, class F>
void ordinary(Operand a, size_t n, Output out, Domain domain, F f) {
    strict_unary(a, n, out, [=](uint64_t x, uint64_t* r) {
        double value = to_float(x);
        if (!std::isfinite(value) || !domain(value)) return false;
        double result = f(value);
        *r = from_float(result);
        return std::isfinite(result) && result != 0;
    });
}

void sqrt_of(Operand a, size_t n, Output out) {
    strict_unary(a, n, out, [](uint64_t x, uint64_t* r) {
        double value = to_float(x);
        *r = from_float(std::sqrt(value));
        return value >= 0 && std::isfinite(value);
    });
}

void power(Operand a, Operand b, size_t n, Output out) {
    strict_binary(a, b, n, out, [](uint64_t x, uint64_t y, uint64_t* r) {
        double base = to_float(x);
        double exponent = to_float(y);
        if (!std::isfinite(base) || !std::isfinite(exponent) || base <= 0) return false;
        double result = std::pow(base, exponent);
        *r = from_float(result);
        return std::isfinite(result) && result != 0;
    });
}

void int_abs(Type type, Operand a, size_t n, Output out) {
    int64_t lowest = type == Type::kInt2 ? INT16_MIN : type == Type::kInt4 ? INT32_MIN : INT64_MIN;
    strict_unary(a, n, out, [lowest](uint64_t x, uint64_t* r) {
        int64_t value = to_int(x);
        if (value == lowest) return false;
        *r = from_int(value < 0 ? -value : value);
        return true;
    });
}

double sign(double value) {
    return value > 0 ? 1.0 : value < 0 ? -1.0 : 0.0;
}

bool positive(double value) {
    return value > 0;
}

}  // namespace

void evaluate_number(const ExprNode& node, Operand a, Operand b, size_t n, Output out) {
    switch (node.op) {
        case Op::kIntAbs:
            return int_abs(node.type, a, n, out);
        case Op::kFloatAbs:
            return total(a, n, out, [](double x) { return std::fabs(x); });
        case Op::kFloatFloor:
            return total(a, n, out, [](double x) { return std::floor(x); });
        case Op::kFloatCeil:
            return total(a, n, out, [](double x) { return std::ceil(x); });
        case Op::kFloatRound:
            return total(a, n, out, [](double x) { return std::rint(x); });
        case Op::kFloatTrunc:  // as dtrunc writes it
            return total(a, n, out,
                         [](double x) { return x >= 0 ? std::floor(x) : -std::floor(-x); });
        case Op::kFloatSign:
            return total(a, n, out, sign);
        case Op::kFloatSqrt:
            return sqrt_of(a, n, out);
        case Op::kFloatExp:
            return ordinary(
                a, n, out, [](double) { return true; }, [](double x) { return std::exp(x); });
        case Op::kFloatLn:
            return ordinary(a, n, out, positive, [](double x) { return std::log(x); });
        case Op::kFloatLog10:
            return ordinary(a, n, out, positive, [](double x) { return std::log10(x); });
        default:  // kFloatPower
            return power(a, b, n, out);
    }
}

}  // namespace anomaly::program
