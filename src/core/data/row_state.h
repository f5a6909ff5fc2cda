// What a decoder says of one message of a batch.
#pragma once

#include <cstdint>

namespace anomaly {

enum class RowStatus : uint8_t {
    kGood,    // the used columns hold exactly what PostgreSQL would make of the message
    kUnsure,  // only PostgreSQL can judge it; its field columns are NULL until it has
    kBad,     // certainly no row of the stream; its field columns are NULL
};

struct RowState {
    RowStatus status = RowStatus::kGood;
    const char* reason = nullptr;  // kBad: why; valid as long as the batch
};

}  // namespace anomaly
