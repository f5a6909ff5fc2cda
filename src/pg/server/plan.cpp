// Prepared statements of the worker.
#include "pg/server/plan.h"

namespace anomaly::pg {

namespace {

constexpr int kMaxArguments = 24;

void prepare(Plan* plan, const CatalogArgument* arguments, int count) {
    Oid types[kMaxArguments];
    for (int i = 0; i < count; i++) types[i] = arguments[i].type;
    SPIPlanPtr prepared = SPI_prepare(plan->text, count, types);
    if (prepared == NULL) {
        elog(ERROR, "cannot prepare \"%s\": %s", plan->text, SPI_result_code_string(SPI_result));
    }
    SPI_keepplan(prepared);
    plan->prepared = prepared;
}

void free_plan(void* place) {
    SPIPlanPtr* plan = static_cast<SPIPlanPtr*>(place);
    if (*plan != NULL) SPI_freeplan(*plan);
    *plan = NULL;
}

}  // namespace

void free_plan_with(MemoryContext context, SPIPlanPtr* place) {
    MemoryContextCallback* callback = static_cast<MemoryContextCallback*>(
        MemoryContextAllocZero(context, sizeof(MemoryContextCallback)));
    callback->func = free_plan;
    callback->arg = place;
    MemoryContextRegisterResetCallback(context, callback);
}

uint64 run_plan(Plan* plan, const CatalogArgument* arguments, int count, int expected) {
    Assert(count <= kMaxArguments);
    if (plan->prepared == NULL) prepare(plan, arguments, count);
    Datum values[kMaxArguments];
    char nulls[kMaxArguments];
    for (int i = 0; i < count; i++) {
        values[i] = arguments[i].value;
        nulls[i] = arguments[i].is_null ? 'n' : ' ';
    }
    const int result = SPI_execute_plan(plan->prepared, values, nulls, false, 0);
    if (result != expected) {
        elog(ERROR, "unexpected result %s of \"%s\"", SPI_result_code_string(result), plan->text);
    }
    return SPI_processed;
}

}  // namespace anomaly::pg
