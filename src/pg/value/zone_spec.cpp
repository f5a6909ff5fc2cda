#include "pg/value/zone_spec.h"

namespace anomaly::pg {

namespace {

// Where PostgreSQL's timestamps begin, and a time that the rules of today hold at for 400 years.
constexpr pg_time_t kLeastTime = -static_cast<pg_time_t>(UNIX_EPOCH_JDATE) * SECS_PER_DAY;
constexpr pg_time_t kYear2900 = 29348006400;
constexpr pg_time_t kEpochShift =
    static_cast<pg_time_t>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;

int64 to_us(pg_time_t unix_time) {
    return (unix_time - kEpochShift) * USECS_PER_SEC;
}

}  // namespace

ZoneSpec zone_spec(const pg_tz* zone) {
    int room = 256;
    int count = 0;
    ZoneChange* changes =
        static_cast<ZoneChange*>(palloc(sizeof(ZoneChange) * static_cast<Size>(room)));
    ZoneSpec spec = {};
    pg_time_t time = kLeastTime;
    for (bool first = true; !spec.repeats; first = false) {
        long before, after;
        int before_is_dst, after_is_dst;
        pg_time_t boundary;
        const int found = pg_next_dst_boundary(&time, &before, &before_is_dst, &boundary, &after,
                                               &after_is_dst, zone);
        if (first) spec.first_offset_us = before * USECS_PER_SEC;
        if (found != 1) break;
        if (count == room) {
            room *= 2;
            changes = static_cast<ZoneChange*>(
                repalloc(changes, sizeof(ZoneChange) * static_cast<Size>(room)));
        }
        changes[count++] = {to_us(boundary), after * USECS_PER_SEC};
        time = boundary;
        spec.repeats = boundary > kYear2900;
    }
    spec.changes = changes;
    spec.change_count = count;
    return spec;
}

}  // namespace anomaly::pg
