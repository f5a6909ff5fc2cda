// tumble(ts, size, "offset"): the window that a time falls into, as a set of one row, so that the
// same FROM item works over streams and over tables.
//
// Where windows begin: sizes in hours or less at 1970-01-01 00:00 UTC (of a timestamp without time
// zone: 1970-01-01 00:00), sizes in days on Monday 2000-01-03 00:00 and sizes in months at
// 2000-01-01 00:00, both in the session's TimeZone. The offset moves the origin.
#include "pg/window_functions.h"

namespace anomaly::pg {

namespace {

constexpr int64 kUnixEpoch_us =
    -static_cast<int64>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
constexpr int64 kMonday_us = 2 * USECS_PER_DAY;  // 2000-01-03

struct Window {
    Timestamp start;
    Timestamp end;
};

[[noreturn]] void out_of_range() {
    ereport(ERROR,
            (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
}

[[noreturn]] void invalid_interval(const char* message, const char* hint) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message), errhint("%s", hint)));
}

int64 add(int64 a, int64 b) {
    int64 result;
    if (pg_add_s64_overflow(a, b, &result)) out_of_range();
    return result;
}

int64 multiply(int64 a, int64 b) {
    int64 result;
    if (pg_mul_s64_overflow(a, b, &result)) out_of_range();
    return result;
}

int64 floor_divide(int64 a, int64 b) {
    return a / b - (a % b < 0 ? 1 : 0);
}

Window window_of_length(Timestamp time, int64 origin, int64 size_us) {
    const int64 number = floor_divide(add(time, -origin), size_us);
    const int64 start = add(origin, multiply(number, size_us));
    return {start, add(start, size_us)};
}

Timestamp month_start(int64 months_since_2000) {
    const int64 year = 2000 + floor_divide(months_since_2000, 12);
    const int month =
        static_cast<int>(months_since_2000 - 12 * floor_divide(months_since_2000, 12));
    if (year < -4713 || year > 294276) out_of_range();
    const int64 days = date2j(static_cast<int>(year), month + 1, 1) - POSTGRES_EPOCH_JDATE;
    return days * USECS_PER_DAY;
}

Window window_of_months(Timestamp time, int32 size_months, int32 offset_months) {
    int year, month, day;
    const int64 days = floor_divide(time, USECS_PER_DAY);
    j2date(static_cast<int>(days) + POSTGRES_EPOCH_JDATE, &year, &month, &day);
    const int64 months = (static_cast<int64>(year) - 2000) * 12 + month - 1 - offset_months;
    const int64 number = floor_divide(months, size_months);
    const int64 start = number * size_months + offset_months;
    return {month_start(start), month_start(start + size_months)};
}

// The window in the clock that the size is counted in: UTC, or the local one.
Window find_window(Timestamp time, const Interval* size, const Interval* offset) {
    if (offset->month != 0 && size->month == 0) {
        invalid_interval("the offset of a window has months, its size has none",
                         "Give the offset in days or less.");
    }
    const int64 shift = add(multiply(offset->day, USECS_PER_DAY), offset->time);
    const Timestamp shifted = add(time, -shift);
    Window window;
    if (size->month != 0) {
        window = window_of_months(shifted, size->month, offset->month);
    } else if (size->day != 0) {
        window = window_of_length(shifted, kMonday_us, size->day * USECS_PER_DAY);
    } else {
        window = window_of_length(shifted, kUnixEpoch_us, size->time);
    }
    window = {add(window.start, shift), add(window.end, shift)};
    if (!IS_VALID_TIMESTAMP(window.start) || !IS_VALID_TIMESTAMP(window.end)) out_of_range();
    return window;
}

void check_size(const Interval* size) {
    const int units = (size->month != 0) + (size->day != 0) + (size->time != 0);
    if (units > 1) {
        invalid_interval("the size of a window mixes months, days and hours",
                         "Give it in months or years, in days or weeks, or in hours or less.");
    }
    if (size->month < 0 || size->day < 0 || size->time < 0 || units == 0) {
        invalid_interval("the size of a window must be greater than zero",
                         "Give the size as the second argument.");
    }
}

void return_window(FunctionCallInfo fcinfo, const Window& window, bool with_zone) {
    InitMaterializedSRF(fcinfo, 0);
    const ReturnSetInfo* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    const Datum values[2] = {
        with_zone ? TimestampTzGetDatum(window.start) : TimestampGetDatum(window.start),
        with_zone ? TimestampTzGetDatum(window.end) : TimestampGetDatum(window.end)};
    const bool nulls[2] = {false, false};
    tuplestore_putvalues(result->setResult, result->setDesc, const_cast<Datum*>(values),
                         const_cast<bool*>(nulls));
}

// An infinite time falls into no window.
void return_nothing(FunctionCallInfo fcinfo) {
    InitMaterializedSRF(fcinfo, 0);
}

Timestamp to_local(TimestampTz time) {
    return DatumGetTimestamp(DirectFunctionCall1(timestamptz_timestamp, TimestampTzGetDatum(time)));
}

TimestampTz from_local(Timestamp time) {
    return DatumGetTimestampTz(DirectFunctionCall1(timestamp_timestamptz, TimestampGetDatum(time)));
}

}  // namespace

ANOMALY_FUNCTION(anomaly_tumble_timestamp) {
    const Timestamp time = PG_GETARG_TIMESTAMP(0);
    const Interval* size = PG_GETARG_INTERVAL_P(1);
    check_size(size);
    if (TIMESTAMP_NOT_FINITE(time)) {
        return_nothing(fcinfo);
    } else {
        return_window(fcinfo, find_window(time, size, PG_GETARG_INTERVAL_P(2)), false);
    }
    return Datum{0};
}

ANOMALY_FUNCTION(anomaly_tumble_timestamptz) {
    const TimestampTz time = PG_GETARG_TIMESTAMPTZ(0);
    const Interval* size = PG_GETARG_INTERVAL_P(1);
    const Interval* offset = PG_GETARG_INTERVAL_P(2);
    check_size(size);
    if (TIMESTAMP_NOT_FINITE(time)) {
        return_nothing(fcinfo);
    } else if (size->time != 0) {
        return_window(fcinfo, find_window(time, size, offset), true);
    } else {
        const Window local = find_window(to_local(time), size, offset);
        return_window(fcinfo, {from_local(local.start), from_local(local.end)}, true);
    }
    return Datum{0};
}

bool is_tumble_function(Oid function) {
    const Oid extension = get_extension_oid("anomaly", true);
    if (!OidIsValid(extension)) return false;
    if (getExtensionOfObject(ProcedureRelationId, function) != extension) return false;
    const char* name = get_func_name(function);
    return name != NULL && strcmp(name, "tumble") == 0;
}

}  // namespace anomaly::pg
