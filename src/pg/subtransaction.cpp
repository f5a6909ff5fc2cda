// The one place with PG_TRY around a user's code: expressions, triggers, rules.
#include "pg/subtransaction.h"

namespace anomaly::pg {

namespace {

bool must_rethrow(const ErrorData* error, bool cancel_is_error) {
    if (ProcDiePending || error->sqlerrcode == ERRCODE_OUT_OF_MEMORY ||
        error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN) {
        return true;
    }
    return error->sqlerrcode == ERRCODE_QUERY_CANCELED && !cancel_is_error;
}

}  // namespace

ErrorData* run_in_subtransaction(void (*step)(void*), void* argument, bool cancel_is_error) {
    const MemoryContext caller_context = CurrentMemoryContext;
    const ResourceOwner caller_owner = CurrentResourceOwner;
    ErrorData* volatile failure = NULL;
    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(caller_context);
    PG_TRY();
    {
        step(argument);
        ReleaseCurrentSubTransaction();
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(caller_context);
        failure = CopyErrorData();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
    }
    PG_END_TRY();
    MemoryContextSwitchTo(caller_context);
    CurrentResourceOwner = caller_owner;
    if (failure != NULL && must_rethrow(failure, cancel_is_error)) ReThrowError(failure);
    return failure;
}

}  // namespace anomaly::pg
