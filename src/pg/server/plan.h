// Statements of the worker: prepared once for the life of the process, run with plain arguments.
#pragma once

#include "pg/server/catalog.h"

namespace anomaly::pg {

struct Plan {
    const char* text;
    SPIPlanPtr prepared;  // NULL: not yet
};

// Runs the statement; prepares it the first time. Needs SPI_connect. Returns the number of rows and
// raises an error if the outcome is not `expected` (an SPI_OK_* code).
uint64 run_plan(Plan* plan, const CatalogArgument* arguments, int count, int expected);

// What is prepared at this place, if anything, is freed together with the memory context that the
// place is in: what SPI_keepplan keeps outlives all memory of ours.
void free_plan_with(MemoryContext context, SPIPlanPtr* place);

}  // namespace anomaly::pg
