// The options that say how a stream's messages are written: format, those of CSV, rows, timezone;
// and of its columns, unit.
#pragma once

#include "core/spec.h"
#include "pg/pg.h"

namespace anomaly::pg {

// Raise an error unless the value is one that the option takes. False: there is no such option
// here.
bool check_format_option(const char* name, const char* value);
// Do the options of a stream fit together?
void check_format_options(const List* options);

TimeUnit parse_unit(const char* value);

// Reads them into the spec; settings become those under which PostgreSQL reads the messages (as
// pinned_settings takes them), jsonpath the way to the rows, NULL: none.
void load_format_options(const List* options, StreamSpec* spec, const char** settings,
                         const char** jsonpath);

}  // namespace anomaly::pg
