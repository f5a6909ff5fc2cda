// Times in strict ISO 8601, the form whose meaning depends on no setting of PostgreSQL. Everything
// else (other years than 1970 to 2200 too) returns false, and PostgreSQL reads it.
#pragma once

#include <cstdint>
#include <string_view>

namespace anomaly {

// YYYY-MM-DD[T or space]HH:MM:SS[.f to .ffffff] and Z, +hh or +hh:mm (or with -).
bool parse_iso_timestamptz(std::string_view text, uint64_t* cell);
// The same without a zone.
bool parse_iso_timestamp(std::string_view text, uint64_t* cell);
// YYYY-MM-DD.
bool parse_iso_date(std::string_view text, uint64_t* cell);

}  // namespace anomaly
