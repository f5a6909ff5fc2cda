// Runs a step in a subtransaction of its own, so that its error is data and not the end.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Returns NULL if the step succeeded (its effects are kept), else a copy of the error in the
// caller's memory context (its effects are rolled back). User id, memory context and resource owner
// are as before in both cases. A request to end the process, and running out of memory, are raised
// again; so is a cancelled query unless `cancel_is_error` (the caller's own time limit).
ErrorData* run_in_subtransaction(void (*step)(void*), void* argument, bool cancel_is_error = false);

}  // namespace anomaly::pg
