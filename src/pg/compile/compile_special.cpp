// Calls that are native for some of their arguments only: constants that say which operation it is.
#include "pg/compile/compile_node.h"
#include "pg/compile/compile_operators.h"

namespace anomaly::pg {

namespace {

const Const* constant_argument(const Call& call, int number) {
    Node* node = static_cast<Node*>(list_nth(call.args, number));
    return IsA(node, Const) && !castNode(Const, node)->constisnull ? castNode(Const, node) : NULL;
}

int compile_argument(Compiler* compiler, const Call& call, int number) {
    return compile(compiler, static_cast<Node*>(list_nth(call.args, number)));
}

int append_with_constant(Compiler* compiler, Op op, Type type, int a, int64 constant) {
    if (a == kNotNative) return kNotNative;
    const int result = append_op(compiler, op, type, a, -1, -1);
    compiler->nodes[result].int_value = constant;
    return result;
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

// (integer::numeric / 10^k)::float8: how JSON's milliseconds become seconds.
int compile_decimal_shift(Compiler* compiler, const Call& call) {
    Call division = {};
    Call widening = {};
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

// ---- times ----

enum class Zone { kUtc, kWholeMinutes, kOther };

// The session's zone, which is the pinned one.
Zone current_zone() {
    constexpr const char* kUtcNames[] = {"UTC", "Etc/UTC", "GMT", "Etc/GMT"};
    const char* name = pg_get_timezone_name(session_timezone);
    if (name == NULL) return Zone::kOther;
    for (const char* utc : kUtcNames) {
        if (strcmp(name, utc) == 0) return Zone::kUtc;
    }
    // Zones of the database have had whole minutes since 1973; one that is spelled out may not.
    return strchr(name, ':') == NULL ? Zone::kWholeMinutes : Zone::kOther;
}

int64 unit_us(const Const* unit) {
    struct Unit {
        const char* name;
        int64 length_us;
    };
    constexpr Unit kUnits[] = {{"second", USECS_PER_SEC},
                               {"minute", USECS_PER_MINUTE},
                               {"hour", USECS_PER_HOUR},
                               {"day", USECS_PER_DAY},
                               {"week", 7 * USECS_PER_DAY}};
    char* name = TextDatumGetCString(unit->constvalue);
    for (const Unit& known : kUnits) {
        if (strcmp(name, known.name) == 0) return known.length_us;
    }
    return 0;
}

int compile_date_trunc(Compiler* compiler, const Call& call) {
    const Const* unit = constant_argument(call, 0);
    const int64 length_us = unit == NULL ? 0 : unit_us(unit);
    if (length_us == 0) return kNotNative;
    if (call.function == F_DATE_TRUNC_TEXT_TIMESTAMP) {
        return append_with_constant(compiler, Op::kTimeTrunc, Type::kTimestamp,
                                    compile_argument(compiler, call, 1), length_us);
    }
    const Zone zone = current_zone();
    const bool zone_matters = zone == Zone::kOther || length_us > USECS_PER_MINUTE;
    if (zone != Zone::kUtc && zone_matters) return kNotNative;
    return append_with_constant(compiler, zone == Zone::kUtc ? Op::kTimeTrunc : Op::kTimeTruncZone,
                                Type::kTimestamptz, compile_argument(compiler, call, 1), length_us);
}

// A day has 24 hours without a zone, and in UTC.
int compile_interval_shift(Compiler* compiler, const Call& call, Type type, bool minus) {
    const Const* constant = constant_argument(call, 1);
    if (constant == NULL) return kNotNative;
    const Interval* interval = DatumGetIntervalP(constant->constvalue);
    constexpr int32 kDaysMax = 100000;
    if (interval->month != 0 || interval->day < -kDaysMax || interval->day > kDaysMax) {
        return kNotNative;
    }
    if (interval->day != 0 && type == Type::kTimestamptz && current_zone() != Zone::kUtc) {
        return kNotNative;
    }
    if (interval->time < -kDaysMax * USECS_PER_DAY || interval->time > kDaysMax * USECS_PER_DAY) {
        return kNotNative;
    }
    const int64 length_us = interval->day * USECS_PER_DAY + interval->time;
    return append_with_constant(compiler, Op::kTimeAdd, type, compile_argument(compiler, call, 0),
                                minus ? -length_us : length_us);
}

int compile_in_utc(Compiler* compiler, const Call& call, Op op, Type type) {
    if (current_zone() != Zone::kUtc) return kNotNative;
    return append_with_constant(compiler, op, type, compile_argument(compiler, call, 0), 0);
}

// ---- text ----

// A pattern is compiled only where it cannot raise.
int compile_like(Compiler* compiler, const Call& call, bool negated) {
    const Const* constant = constant_argument(call, 1);
    if (constant == NULL) return kNotNative;
    const char* pattern = TextDatumGetCString(constant->constvalue);
    for (const char* at = pattern; *at != '\0'; at++) {
        if (*at == '\\' && *++at == '\0') return kNotNative;
    }
    const KnownFunction known = {call.function, Op::kTextLike, Type::kBool, Type::kOpaque};
    const int text = compile_argument(compiler, call, 0);
    if (text == kNotNative) return kNotNative;
    const int b = compile_argument(compiler, call, 1);
    const int like = append_known(compiler, &known, call.collation, text, b, kNotNative);
    if (like == kNotNative || !negated) return like;
    return append_op(compiler, Op::kNot, Type::kBool, like, -1, -1);
}

bool is_integer(Type type) {
    return type == Type::kInt2 || type == Type::kInt4 || type == Type::kInt8;
}

}  // namespace

// Casts by way of the text form.
int compile_io_cast(Compiler* compiler, const CoerceViaIO* cast, Type type) {
    const int from = compile(compiler, reinterpret_cast<Node*>(cast->arg));
    if (from == kNotNative) return kNotNative;
    const Type from_type = type_at(compiler, from);
    if (type == Type::kText && is_integer(from_type)) {
        return append_op(compiler, Op::kIntToText, type, from, -1, -1);
    }
    if (from_type != Type::kText) return kNotNative;
    if (is_integer(type)) return append_op(compiler, Op::kTextToInt, type, from, -1, -1);
    if (type != Type::kFloat8) return kNotNative;
    return append_op(compiler, Op::kTextToFloat, type, from, -1, -1);
}

int compile_special(Compiler* compiler, const Call& call) {
    switch (call.function) {
        case F_FLOAT8_NUMERIC:
            return compile_decimal_shift(compiler, call);
        case F_DATE_TRUNC_TEXT_TIMESTAMP:
        case F_DATE_TRUNC_TEXT_TIMESTAMPTZ:
            return compile_date_trunc(compiler, call);
        case F_TIMESTAMP_PL_INTERVAL:
            return compile_interval_shift(compiler, call, Type::kTimestamp, false);
        case F_TIMESTAMP_MI_INTERVAL:
            return compile_interval_shift(compiler, call, Type::kTimestamp, true);
        case F_TIMESTAMPTZ_PL_INTERVAL:
            return compile_interval_shift(compiler, call, Type::kTimestamptz, false);
        case F_TIMESTAMPTZ_MI_INTERVAL:
            return compile_interval_shift(compiler, call, Type::kTimestamptz, true);
        case F_DATE_TIMESTAMPTZ:
            return compile_in_utc(compiler, call, Op::kTimeToDate, Type::kDate);
        case F_TIMESTAMPTZ_DATE:
            return compile_in_utc(compiler, call, Op::kDateToTime, Type::kTimestamptz);
        case F_TIMESTAMP_TIMESTAMPTZ:
            return compile_in_utc(compiler, call, Op::kTimeToTime, Type::kTimestamp);
        case F_TIMESTAMPTZ_TIMESTAMP:
            return compile_in_utc(compiler, call, Op::kTimeToTime, Type::kTimestamptz);
        case F_TEXTLIKE:
            return compile_like(compiler, call, false);
        case F_TEXTNLIKE:
            return compile_like(compiler, call, true);
        default:
            return kNotNative;
    }
}

}  // namespace anomaly::pg
