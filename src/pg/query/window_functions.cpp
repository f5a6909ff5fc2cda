// tumble(ts, size, "offset") and hop(ts, slide, size, "offset"): the windows that a time falls
// into, as a set of rows, so that the same FROM item works over streams and over tables.
//
// Windows begin each slide, counted from an origin: sizes in hours or less from 1970-01-01 00:00
// UTC (of a timestamp without time zone: 1970-01-01 00:00), sizes in days from Monday 2000-01-03
// 00:00 and sizes in months from 2000-01-01 00:00, both in the session's TimeZone. The offset moves
// the origin. What core/time/window.h says of zones that change holds here too.
#include "pg/query/window_functions.h"

namespace anomaly::pg {

namespace {

constexpr int64 kUnixEpoch_us =
    -static_cast<int64>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
constexpr int64 kMonday_us = 2 * USECS_PER_DAY;  // 2000-01-03

struct Windows {
    WindowSpec spec;
    bool zoned;  // bounds are local times, to be given in UTC
};

[[noreturn]] void out_of_range() {
    ereport(ERROR,
            (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
}

int64 floor_divide(int64 a, int64 b) {
    return a / b - (a % b < 0 ? 1 : 0);
}

// Beyond all times rather than an error: a window next to the wanted one may well be there.
int64 add(int64 a, int64 b) {
    int64 result;
    if (!pg_add_s64_overflow(a, b, &result)) return result;
    return a < 0 ? PG_INT64_MIN : PG_INT64_MAX;
}

int64 month_start(int64 months_since_2000) {
    const int64 year = 2000 + floor_divide(months_since_2000, 12);
    const int month = static_cast<int>(months_since_2000 - 12 * (year - 2000));
    if (year < -4713) return PG_INT64_MIN;
    if (year > 294276) return PG_INT64_MAX;
    const int64 days = date2j(static_cast<int>(year), month + 1, 1) - POSTGRES_EPOCH_JDATE;
    return days * USECS_PER_DAY;
}

int64 month_of(Timestamp time) {
    int year, month, day;
    j2date(static_cast<int>(floor_divide(time, USECS_PER_DAY)) + POSTGRES_EPOCH_JDATE, &year,
           &month, &day);
    return (static_cast<int64>(year) - 2000) * 12 + month - 1;
}

Timestamp to_local(TimestampTz time) {
    return DatumGetTimestamp(DirectFunctionCall1(timestamptz_timestamp, TimestampTzGetDatum(time)));
}

TimestampTz from_local(Timestamp time) {
    return DatumGetTimestampTz(DirectFunctionCall1(timestamp_timestamptz, TimestampGetDatum(time)));
}

// The time so many units after the origin.
int64 bound(const Windows* windows, int64 count) {
    const WindowSpec* spec = &windows->spec;
    int64 time = 0;
    switch (spec->unit) {
        case WindowUnit::kMicroseconds:
            return add(count, kUnixEpoch_us + spec->offset_us);
        case WindowUnit::kDays:
            time = pg_mul_s64_overflow(count, USECS_PER_DAY, &time)
                       ? (count < 0 ? PG_INT64_MIN : PG_INT64_MAX)
                       : add(time, kMonday_us + spec->offset_us);
            break;
        case WindowUnit::kMonths:
            time = add(month_start(count + spec->offset_months), spec->offset_us);
            break;
    }
    return windows->zoned && IS_VALID_TIMESTAMP(time) ? from_local(time) : time;
}

int64 start_at(const Windows* windows, int64 number) {
    return bound(windows, number * windows->spec.slide);
}

int64 end_at(const Windows* windows, int64 number) {
    return bound(windows, add(number * windows->spec.slide, windows->spec.size));
}

bool exists(const Windows* windows, int64 number) {
    return start_at(windows, number + 1) > start_at(windows, number) &&
           end_at(windows, number) > end_at(windows, number - 1);
}

// The last window that begins by then.
int64 last_number(const Windows* windows, Timestamp time) {
    const WindowSpec* spec = &windows->spec;
    const Timestamp local = add(windows->zoned ? to_local(time) : time, -spec->offset_us);
    int64 count = 0;
    switch (spec->unit) {
        case WindowUnit::kMicroseconds:
            count = local - kUnixEpoch_us;
            break;
        case WindowUnit::kDays:
            count = floor_divide(local - kMonday_us, USECS_PER_DAY);
            break;
        case WindowUnit::kMonths:
            count = month_of(local) - spec->offset_months;
            break;
    }
    // The clock may have been put back since.
    int64 number = floor_divide(count, spec->slide) + (windows->zoned ? 2 : 0);
    while (start_at(windows, number) > time) number--;
    return number;
}

void put_window(FunctionCallInfo fcinfo, Timestamp start, Timestamp end) {
    if (!IS_VALID_TIMESTAMP(start) || !IS_VALID_TIMESTAMP(end)) out_of_range();
    const ReturnSetInfo* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    // A timestamp is the same datum with a zone and without.
    Datum values[2] = {TimestampGetDatum(start), TimestampGetDatum(end)};
    bool nulls[2] = {false, false};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

// An infinite time falls into no window.
void return_windows(FunctionCallInfo fcinfo, const Windows* windows) {
    const Timestamp time = PG_GETARG_TIMESTAMP(0);
    InitMaterializedSRF(fcinfo, 0);
    if (TIMESTAMP_NOT_FINITE(time)) return;
    const int64 last = last_number(windows, time);
    int64 number = last;
    while (end_at(windows, number) > time) number--;
    for (number++; number <= last; number++) {
        if (windows->zoned && !exists(windows, number)) continue;
        put_window(fcinfo, start_at(windows, number), end_at(windows, number));
    }
}

Datum tumble(FunctionCallInfo fcinfo, bool with_zone) {
    const Interval* size = PG_GETARG_INTERVAL_P(1);
    Windows windows = {make_window_spec(size, size, PG_GETARG_INTERVAL_P(2)), false};
    windows.zoned = with_zone && windows.spec.unit != WindowUnit::kMicroseconds;
    return_windows(fcinfo, &windows);
    return Datum{0};
}

Datum hop(FunctionCallInfo fcinfo, bool with_zone) {
    const Interval* slide = PG_GETARG_INTERVAL_P(1);
    const Interval* size = PG_GETARG_INTERVAL_P(2);
    Windows windows = {make_window_spec(slide, size, PG_GETARG_INTERVAL_P(3)), false};
    windows.zoned = with_zone && windows.spec.unit != WindowUnit::kMicroseconds;
    return_windows(fcinfo, &windows);
    return Datum{0};
}

}  // namespace

ANOMALY_FUNCTION(anomaly_tumble_timestamp) {
    return tumble(fcinfo, false);
}

ANOMALY_FUNCTION(anomaly_tumble_timestamptz) {
    return tumble(fcinfo, true);
}

ANOMALY_FUNCTION(anomaly_hop_timestamp) {
    return hop(fcinfo, false);
}

ANOMALY_FUNCTION(anomaly_hop_timestamptz) {
    return hop(fcinfo, true);
}

WindowFunction window_function(Oid function) {
    const Oid extension = get_extension_oid("anomaly", true);
    if (!OidIsValid(extension)) return WindowFunction::kNone;
    if (getExtensionOfObject(ProcedureRelationId, function) != extension) {
        return WindowFunction::kNone;
    }
    // Whatever its name is now.
    FmgrInfo info = {};
    fmgr_info(function, &info);
    if (info.fn_addr == anomaly_tumble_timestamp || info.fn_addr == anomaly_tumble_timestamptz) {
        return WindowFunction::kTumble;
    }
    return info.fn_addr == anomaly_hop_timestamp || info.fn_addr == anomaly_hop_timestamptz
               ? WindowFunction::kHop
               : WindowFunction::kNone;
}

}  // namespace anomaly::pg
