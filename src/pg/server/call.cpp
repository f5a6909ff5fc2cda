#include "pg/server/call.h"

namespace anomaly::pg {

namespace {

int sqlstate(bridge::Code code) {
    switch (code) {
        case bridge::Code::kOk:
            return ERRCODE_SUCCESSFUL_COMPLETION;
        case bridge::Code::kOutOfMemory:
            return ERRCODE_OUT_OF_MEMORY;
        case bridge::Code::kInvalidOption:
            return ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE;
        case bridge::Code::kBroker:
            return ERRCODE_CONNECTION_FAILURE;
        case bridge::Code::kNoTopic:
            return ERRCODE_FDW_TABLE_NOT_FOUND;
        case bridge::Code::kCorrupt:
            return ERRCODE_DATA_CORRUPTED;
        case bridge::Code::kInternal:
            return ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
    }
    return ERRCODE_INTERNAL_ERROR;
}

}  // namespace

void check(const bridge::Status& status) {
    if (status.ok()) return;
    ereport(ERROR, (errcode(sqlstate(status.code)), errmsg("%s", status.text)));
}

}  // namespace anomaly::pg
