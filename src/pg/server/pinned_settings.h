// The settings that give a definition its meaning (TimeZone, search_path, ...), stored with it as
// json and put in force around whatever is evaluated for it.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// The schemas that are searched now, but temporary ones last.
char* current_search_path();

// As they are now.
Datum current_settings();

// Puts them in force until AtEOXact_GUC(true, the returned nest level).
int apply_settings(const char* json);

// For SQL that is stored as text: written so that it loses nothing and is read the same under any
// settings, and read as it was written. Each until AtEOXact_GUC(true, the returned nest level).
int apply_sql_writing_settings();
int apply_sql_reading_settings();

}  // namespace anomaly::pg
