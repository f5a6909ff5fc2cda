#include <cmath>
#include <limits>

#include "core/program/program_node.h"

namespace anomaly::program {
namespace {

template <class T>
bool fits(int64_t value) {
    return value >= std::numeric_limits<T>::min() && value <= std::numeric_limits<T>::max();
}

bool int_to_int(Type type, uint64_t cell, uint64_t* result) {
    *result = cell;
    if (type == Type::kInt2) return fits<int16_t>(to_int(cell));
    if (type == Type::kInt4) return fits<int32_t>(to_int(cell));
    return true;
}

// PostgreSQL's float8_timestamptz, step by step; where it raises an error: unsure.
bool to_timestamp(uint64_t cell, uint64_t* result) {
    constexpr double kDay = 86400;
    constexpr double kFirstSecond = kDay * -2440588;             // the Julian epoch
    constexpr double kEndSecond = kDay * (109203528 - 2440588);  // 294277-01-01
    constexpr double kPostgresEpoch = kDay * 10957;              // 2000-01-01
    constexpr double kFirstTimestamp = -211813488000000000.0;    // both are exact doubles
    constexpr double kEndTimestamp = 9223371331200000000.0;
    double seconds = to_float(cell);
    if (std::isinf(seconds)) {
        *result = from_int(seconds < 0 ? INT64_MIN : INT64_MAX);
        return true;
    }
    // NaN fails this too.
    if (!(seconds >= kFirstSecond && seconds < kEndSecond)) return false;
    double microseconds = std::rint((seconds - kPostgresEpoch) * 1e6);
    if (!(microseconds >= kFirstTimestamp && microseconds < kEndTimestamp)) return false;
    *result = from_int(static_cast<int64_t>(microseconds));
    return true;
}

// dtoi2, dtoi4, dtoi8: to the nearest, half to even. The upper limit of int8 is no double, hence
// the open end.
bool float_to_int(Type type, uint64_t cell, uint64_t* result) {
    double end = type == Type::kInt2 ? 0x1p15 : type == Type::kInt4 ? 0x1p31 : 0x1p63;
    double value = std::rint(to_float(cell));
    if (!(value >= -end && value < end)) return false;  // NaN fails, too
    *result = from_int(static_cast<int64_t>(value));
    return true;
}

// dtof
bool float8_to_float4(uint64_t cell, uint64_t* result) {
    double value = to_float(cell);
    auto narrow = static_cast<float>(value);
    *result = from_float(static_cast<double>(narrow));
    if (std::isinf(narrow)) return std::isinf(value);
    return narrow != 0 || value == 0;
}

// (v / 10^k)::float8 over numeric. The quotient has at most k <= 9 decimal places. numeric keeps
// 16 - 4 * q of them, q being at most the base-10000 weight of v less that of 10^k (k / 4); |v| up
// to 2^53 has a weight of at most 3, so it keeps at least 4 + 4 * (k / 4) > k: the quotient is
// exact. Its float8 is the nearest double, and so is the quotient of two exact doubles.
bool int_div_pow10(double power, uint64_t cell, uint64_t* result) {
    constexpr int64_t kLimit = int64_t{1} << 53;
    int64_t value = to_int(cell);
    *result = from_float(static_cast<double>(value) / power);
    return value >= -kLimit && value <= kLimit;
}

}  // namespace

void evaluate_cast(const ExprNode& node, Operand a, size_t n, Output out) {
    switch (node.op) {
        case Op::kIntToInt:
            return strict_unary(a, n, out, [type = node.type](uint64_t x, uint64_t* r) {
                return int_to_int(type, x, r);
            });
        case Op::kIntToFloat:
            return strict_unary(a, n, out, [](uint64_t x, uint64_t* r) {
                *r = from_float(static_cast<double>(to_int(x)));
                return true;
            });
        case Op::kFloat4ToFloat8:  // a float4 lies there as the double of its value
        case Op::kBoolToInt:
            return strict_unary(a, n, out, [](uint64_t x, uint64_t* r) {
                *r = x;
                return true;
            });
        case Op::kToTimestamp:
            return strict_unary(a, n, out, to_timestamp);
        case Op::kFloatToInt:
            return strict_unary(a, n, out, [type = node.type](uint64_t x, uint64_t* r) {
                return float_to_int(type, x, r);
            });
        case Op::kFloat8ToFloat4:
            return strict_unary(a, n, out, float8_to_float4);
        case Op::kIntToFloat4:
            return strict_unary(a, n, out, [](uint64_t x, uint64_t* r) {
                *r = from_float(static_cast<double>(static_cast<float>(to_int(x))));
                return true;
            });
        case Op::kIntToBool:
            return strict_unary(a, n, out, [](uint64_t x, uint64_t* r) {
                *r = x != 0 ? 1 : 0;
                return true;
            });
        default: {  // kIntDivPow10
            double power = 1;
            for (int64_t k = 0; k < node.int_value; k++) power *= 10;
            return strict_unary(
                a, n, out, [power](uint64_t x, uint64_t* r) { return int_div_pow10(power, x, r); });
        }
    }
}

}  // namespace anomaly::program
