// Paths into a JSON message: of a column's field, and of the array whose elements are the rows.
#pragma once

#include "core/spec.h"
#include "pg/pg.h"

namespace anomaly::pg {

// $.tags.host from the message on, @.host from the row on, names that are no identifiers in double
// quotes; $ and @ alone are the whole.
struct FieldPath {
    const char* const* names;  // to descend
    int32 count;
    bool of_row;  // begins with @
};
FieldPath parse_field_path(const char* text);

// $.metrics[*], $[*], $.a[*].b[*]: at least one [*].
struct RowsPath {
    const char* const* names;  // to descend to the array, if is_simple
    int32 count;
    bool is_simple;        // one [*], and it is the last step
    const char* jsonpath;  // the same in PostgreSQL's own language
};
RowsPath parse_rows_path(const char* text);

}  // namespace anomaly::pg
