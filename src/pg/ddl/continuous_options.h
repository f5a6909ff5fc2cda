// The anomaly.* options of CREATE TABLE ... WITH (...).
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

struct ContinuousOptions {
    bool continuous;
    bool emit_on_close;
    Interval* allowed_lateness;  // zero by default
    Interval* retention;         // NULL: rows are kept
    const char* start;           // NULL: as the stream's option startup says
    List* storage;               // all other options, for the table itself
};

// Does any option of the list belong to us?
bool has_anomaly_option(const List* options);

// Takes them; raises an error that names an unknown option or a value that cannot be.
ContinuousOptions take_continuous_options(const List* options);

}  // namespace anomaly::pg
