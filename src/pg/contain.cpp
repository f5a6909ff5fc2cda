#include "pg/contain.h"

namespace anomaly::pg {

namespace {

bool is_input_fault(int sqlstate) {
    switch (ERRCODE_TO_CATEGORY(sqlstate)) {
        case ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES):
        case ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION):
        case ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR):
        case ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK):
            return false;
        default:
            return true;
    }
}

void describe(const ErrorData* error, char (&reason)[kReasonBytesMax]) {
    StringInfoData text;
    initStringInfo(&text);
    appendStringInfoString(&text, error->message == NULL ? "error" : error->message);
    if (error->detail != NULL) appendStringInfo(&text, ": %s", error->detail);
    const int size = pg_mbcliplen(text.data, text.len, static_cast<int>(kReasonBytesMax) - 1);
    memcpy(reason, text.data, static_cast<Size>(size));
    reason[size] = '\0';
    pfree(text.data);
}

}  // namespace

bool contain(void (*step)(void*), void* argument, const bool* containable,
             char (&reason)[kReasonBytesMax]) {
    const MemoryContext caller_context = CurrentMemoryContext;
    const ResourceOwner caller_owner = CurrentResourceOwner;
    volatile bool done = false;
    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(caller_context);
    PG_TRY();
    {
        step(argument);
        ReleaseCurrentSubTransaction();
        done = true;
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(caller_context);
        ErrorData* error = CopyErrorData();
        if (!*containable || !is_input_fault(error->sqlerrcode)) PG_RE_THROW();
        FlushErrorState();
        RollbackAndReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(caller_context);
        describe(error, reason);
        FreeErrorData(error);
    }
    PG_END_TRY();
    MemoryContextSwitchTo(caller_context);
    CurrentResourceOwner = caller_owner;
    return done;
}

}  // namespace anomaly::pg
