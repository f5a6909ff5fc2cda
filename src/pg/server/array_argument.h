// Arrays as parameters of the worker's statements: many rows by one statement, with unnest.
#pragma once

#include "pg/server/catalog.h"

namespace anomaly::pg {

// One column of many rows; palloc'd.
struct ArrayColumn {
    Oid element;
    Datum* values;
    bool* nulls;
    int count;
};

ArrayColumn make_array_column(Oid element, int capacity);
void append_value(ArrayColumn* column, Datum value);
void append_text(ArrayColumn* column, const char* value);  // may be NULL
void append_if(ArrayColumn* column, bool is_there, Datum value);

CatalogArgument argument_array(const ArrayColumn& column);

}  // namespace anomaly::pg
