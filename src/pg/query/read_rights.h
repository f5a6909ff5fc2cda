// Whether what a continuous table reads may still be read: SELECT on the stream, or on the columns
// of it that the definition names, as the executor would ask for a plain query.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// May the reader see the columns of the relation that the query uses?
bool may_read(const Query* query, const RangeTblEntry* entry, Oid reader);

// NULL: all that the definition reads may be read. Otherwise which right is missing, and who needs
// it. `views` are those that the stream was named through when the definition was made, the
// outermost first: each is read by the owner of the one before it. One that is gone has nobody who
// could take back what it gave.
const char* missing_read_right(Query* definition, Oid owner, const List* views);

// Changes with anything that may have changed such rights, as far as this process has heard of it:
// whoever holds a lock has heard of all that was committed before.
uint64 rights_generation();

}  // namespace anomaly::pg
