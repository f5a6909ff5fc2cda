// Views in FROM of a continuous table's SELECT, taken as they are at its creation.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Checks that the current user may read every relation in FROM, and puts a view's own SELECT, which
// reads with the rights of the view's owner, in the view's place. The query may afterwards be
// deparsed but not executed. Returns whether there was a view; `through`: those that the stream is
// read through, the outermost first.
bool expand_views(Query* query, List** through);

}  // namespace anomaly::pg
