// Runs a step in a subtransaction of its own, so that its error is data and not the end.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

enum class Containment : uint8 {
    kInput,  // of a user's expression over a row: running out of memory, and a cancelled query, are
             // nobody's input and raised again
    kTable,  // of all that is done for one table: every error is its own
    kRule,   // the same, and what the step did is undone whether it succeeds or not
};

// Returns NULL if the step succeeded, else a copy of the error in the caller's memory context (its
// effects are rolled back). User id, memory context and resource owner are as before in both cases.
// A request to end the process is raised again.
ErrorData* run_in_subtransaction(void (*step)(void*), void* argument,
                                 Containment containment = Containment::kInput);

}  // namespace anomaly::pg
