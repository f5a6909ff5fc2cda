// Runs a step that may raise an error in a subtransaction of its own.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

constexpr Size kReasonBytesMax = 500;

// True: step(argument) came to its end. False: it raised an error while *containable was true;
// what it did is undone and `reason` says why ("message: detail", cut at a character). Errors that
// no input can be blamed for (cancelling, shutdown, lack of resources, conflicts between
// transactions) are raised again. Needs a transaction; the memory context, resource owner and user
// are as before.
bool contain(void (*step)(void*), void* argument, const bool* containable,
             char (&reason)[kReasonBytesMax]);

}  // namespace anomaly::pg
