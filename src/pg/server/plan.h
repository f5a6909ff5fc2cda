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

}  // namespace anomaly::pg
