// The one place with PG_TRY around a user's code: expressions, triggers, rules.
#include "pg/server/subtransaction.h"

namespace anomaly::pg {

namespace {

// Whether the process is to end is not read from the error: anybody can raise one with any code.
bool must_rethrow(const ErrorData* error, Containment containment) {
    if (ProcDiePending) return true;
    return containment == Containment::kInput && (error->sqlerrcode == ERRCODE_OUT_OF_MEMORY ||
                                                  error->sqlerrcode == ERRCODE_QUERY_CANCELED);
}

}  // namespace

ErrorData* run_in_subtransaction(void (*step)(void*), void* argument, Containment containment) {
    const MemoryContext caller_context = CurrentMemoryContext;
    const ResourceOwner caller_owner = CurrentResourceOwner;
    ErrorData* volatile failure = NULL;
    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(caller_context);
    PG_TRY();
    {
        step(argument);
        if (containment == Containment::kRule) {
            RollbackAndReleaseCurrentSubTransaction();
        } else {
            ReleaseCurrentSubTransaction();
        }
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
    if (failure != NULL && must_rethrow(failure, containment)) ReThrowError(failure);
    return failure;
}

}  // namespace anomaly::pg
