// Times in strict ISO 8601, the form whose meaning depends on no setting of PostgreSQL. Everything
// else (other years than 1970 to 2200 too) returns false, and PostgreSQL reads it.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/time/zone.h"

namespace anomaly {

// YYYY-MM-DD[T or space]HH:MM:SS[.f...] and Z, +hh, +hhmm or +hh:mm (or with -), or none of these:
// then it is a time in the zone.
bool parse_iso_timestamptz(std::string_view text, const Zone& zone, uint64_t* cell);
// The same; PostgreSQL reads over a zone.
bool parse_iso_timestamp(std::string_view text, uint64_t* cell);
// YYYY-MM-DD.
bool parse_iso_date(std::string_view text, uint64_t* cell);

}  // namespace anomaly
