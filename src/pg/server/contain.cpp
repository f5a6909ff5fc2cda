#include "pg/server/contain.h"

#include "pg/server/subtransaction.h"

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
    ErrorData* error = run_in_subtransaction(step, argument);
    if (error == NULL) return true;
    if (!*containable || !is_input_fault(error->sqlerrcode)) ReThrowError(error);
    describe(error, reason);
    FreeErrorData(error);
    return false;
}

}  // namespace anomaly::pg
