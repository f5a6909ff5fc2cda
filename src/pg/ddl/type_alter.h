// ALTER TYPE, where continuous tables or streams hold values of the type.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Raises an error if the statement would change what is stored, or what messages mean:
// - a label, where group keys or states of aggregates hold values of the type (they are stored with
//   labels), or a query makes text of them. What else there is of it follows the new label;
// - the attributes of a row type, where keys or states hold such rows;
// - the name of an attribute by which a stream finds a field.
// Workers whose streams have columns of an altered row type read their definitions again.
void check_type_alter(Node* statement);

}  // namespace anomaly::pg
