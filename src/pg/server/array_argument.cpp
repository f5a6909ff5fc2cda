// Builds array parameters.
#include "pg/server/array_argument.h"

namespace anomaly::pg {

ArrayColumn make_array_column(Oid element, int capacity) {
    const Size size = static_cast<Size>(capacity) + 1;
    return {element, static_cast<Datum*>(palloc(sizeof(Datum) * size)),
            static_cast<bool*>(palloc(sizeof(bool) * size)), 0};
}

void append_if(ArrayColumn* column, bool is_there, Datum value) {
    column->values[column->count] = value;
    column->nulls[column->count] = !is_there;
    column->count++;
}

void append_value(ArrayColumn* column, Datum value) {
    append_if(column, true, value);
}

void append_text(ArrayColumn* column, const char* value) {
    append_if(column, value != NULL, value == NULL ? Datum{0} : CStringGetTextDatum(value));
}

CatalogArgument argument_array(const ArrayColumn& column) {
    int16 size = 0;
    bool by_value = false;
    char align = 0;
    get_typlenbyvalalign(column.element, &size, &by_value, &align);
    int dimensions[] = {column.count};
    int lower[] = {1};
    ArrayType* array = construct_md_array(column.values, column.nulls, column.count > 0 ? 1 : 0,
                                          dimensions, lower, column.element, size, by_value, align);
    return {get_array_type(column.element), PointerGetDatum(array), false};
}

}  // namespace anomaly::pg
