// A time zone as PostgreSQL handed it down: from UTC to local time and back, exactly as PostgreSQL
// does it. Microseconds since 2000-01-01, of UTC and of the local clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/spec.h"

namespace anomaly {

class Zone {
  public:
    explicit Zone(const ZoneSpec& spec);

    int64_t to_local(int64_t utc_us) const;
    // Of a local time that is skipped: as if the clock had not been changed; of one that comes
    // twice: the second.
    int64_t to_utc(int64_t local_us) const;

  private:
    // The same moment of the 400 years that repeat.
    int64_t into_table(int64_t utc_us) const;
    // Number of the first change after it.
    size_t next_change(int64_t utc_us) const;
    int64_t offset_before(size_t change) const {
        return change == 0 ? first_offset_us_ : changes_[change - 1].offset_us;
    }

    int64_t first_offset_us_;
    bool repeats_;
    std::vector<ZoneChange> changes_;
};

}  // namespace anomaly
