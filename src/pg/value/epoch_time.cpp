#include "pg/value/epoch_time.h"

namespace anomaly::pg {

namespace {

const char* microseconds_in(TimeUnit unit) {
    switch (unit) {
        case TimeUnit::kSecond:
            return "1000000";
        case TimeUnit::kMillisecond:
            return "1000";
        case TimeUnit::kNanosecond:
            return "0.001";
        default:
            return "1";
    }
}

}  // namespace

Datum epoch_time(Datum numeric, TimeUnit unit, Oid type, int32 typmod) {
    const Datum factor = DirectFunctionCall3(numeric_in, CStringGetDatum(microseconds_in(unit)),
                                             ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
    const int64 since_1970_us = DatumGetInt64(
        DirectFunctionCall1(numeric_int8, DirectFunctionCall2(numeric_mul, numeric, factor)));
    constexpr int64 kEpoch_us =
        static_cast<int64>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
    TimestampTz time = 0;
    if (pg_sub_s64_overflow(since_1970_us, kEpoch_us, &time) || !IS_VALID_TIMESTAMP(time)) {
        ereport(ERROR,
                (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
    }
    Datum result = TimestampTzGetDatum(time);
    if (type == TIMESTAMPOID) result = DirectFunctionCall1(timestamptz_timestamp, result);
    // Both round alike.
    if (typmod < 0) return result;
    return DirectFunctionCall2(timestamp_scale, result, Int32GetDatum(typmod));
}

}  // namespace anomaly::pg
