// Arithmetic of times: microseconds and days since 2000-01-01. Infinite ones stay what they are.
// Within a few thousand years of now nothing can overflow; what lies beyond is left to PostgreSQL.
#include "core/program/program_node.h"

namespace anomaly::program {
namespace {

constexpr int64_t kDayUs = 86'400'000'000;
constexpr int64_t kMondayUs = 2 * kDayUs;                // 2000-01-03
constexpr int64_t kOrdinaryDays = 2'000'000;             // about 5,400 years
constexpr int64_t kZonesSettledUs = -27 * 365 * kDayUs;  // 1973: no zone has seconds any more

bool is_infinite_time(int64_t time) {
    return time == INT64_MIN || time == INT64_MAX;
}

bool is_infinite_date(int64_t date) {
    return date == INT32_MIN || date == INT32_MAX;
}

bool is_ordinary_time(int64_t time) {
    return time > -kOrdinaryDays * kDayUs && time < kOrdinaryDays * kDayUs;
}

bool is_ordinary_date(int64_t date) {
    return date > -kOrdinaryDays && date < kOrdinaryDays;
}

int64_t floor_div(int64_t value, int64_t by) {
    int64_t quotient = value / by;
    return value % by < 0 ? quotient - 1 : quotient;
}

bool truncate(int64_t unit_us, int64_t time, uint64_t* result) {
    *result = from_int(time);
    if (is_infinite_time(time)) return true;
    if (!is_ordinary_time(time)) return false;
    *result = from_int(floor_div(time - kMondayUs, unit_us) * unit_us + kMondayUs);
    return true;
}

bool add_time(int64_t more_us, int64_t time, uint64_t* result) {
    *result = from_int(time);
    if (is_infinite_time(time)) return true;
    if (!is_ordinary_time(time) || !is_ordinary_time(more_us)) return false;
    *result = from_int(time + more_us);
    return true;
}

bool add_days(int64_t date, int64_t days, uint64_t* result) {
    *result = from_int(date);
    if (is_infinite_date(date)) return true;
    if (!is_ordinary_date(date) || !is_ordinary_date(days)) return false;
    *result = from_int(date + days);
    return true;
}

bool time_to_date(uint64_t cell, uint64_t* result) {
    int64_t time = to_int(cell);
    if (is_infinite_time(time)) {
        *result = from_int(time < 0 ? INT32_MIN : INT32_MAX);
        return true;
    }
    *result = from_int(floor_div(time, kDayUs));
    return is_ordinary_time(time);
}

bool date_to_time(uint64_t cell, uint64_t* result) {
    int64_t date = to_int(cell);
    if (is_infinite_date(date)) {
        *result = from_int(date < 0 ? INT64_MIN : INT64_MAX);
        return true;
    }
    if (!is_ordinary_date(date)) return false;
    *result = from_int(date * kDayUs);
    return true;
}

bool same_time(uint64_t cell, uint64_t* result) {
    *result = cell;
    return is_ordinary_time(to_int(cell));
}

}  // namespace

void evaluate_time(const ExprNode& node, Operand a, Operand b, size_t n, Output out) {
    int64_t constant = node.int_value;
    switch (node.op) {
        case Op::kTimeTrunc:
            return strict_unary(a, n, out, [constant](uint64_t x, uint64_t* r) {
                return truncate(constant, to_int(x), r);
            });
        case Op::kTimeTruncZone:
            return strict_unary(a, n, out, [constant](uint64_t x, uint64_t* r) {
                return to_int(x) >= kZonesSettledUs && truncate(constant, to_int(x), r);
            });
        case Op::kTimeAdd:
            return strict_unary(a, n, out, [constant](uint64_t x, uint64_t* r) {
                return add_time(constant, to_int(x), r);
            });
        case Op::kDateAdd:
            return strict_binary(a, b, n, out, [](uint64_t x, uint64_t y, uint64_t* r) {
                return add_days(to_int(x), to_int(y), r);
            });
        case Op::kDateSub:
            return strict_binary(a, b, n, out, [](uint64_t x, uint64_t y, uint64_t* r) {
                return add_days(to_int(x), -to_int(y), r);
            });
        case Op::kTimeToDate:
            return strict_unary(a, n, out, time_to_date);
        case Op::kDateToTime:
            return strict_unary(a, n, out, date_to_time);
        default:  // kTimeToTime
            return strict_unary(a, n, out, same_time);
    }
}

}  // namespace anomaly::program
