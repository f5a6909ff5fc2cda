// What a bridge function says of its outcome. Trivially destructible: it may live on a stack that
// PostgreSQL's longjmp unwinds.
#pragma once

#include <cstdint>
#include <type_traits>

namespace anomaly::bridge {

enum class Code : uint8_t {
    kOk,
    kOutOfMemory,
    kInvalidOption,  // detail names it
    kBroker,         // the broker refused or cannot be reached
    kNoTopic,        // the broker knows no such topic
    kCorrupt,        // a checkpoint that cannot be read
    kInternal,
};

struct Status {
    Code code = Code::kOk;
    char text[512] = {};
    bool ok() const { return code == Code::kOk; }
};
static_assert(std::is_trivially_destructible_v<Status>);

}  // namespace anomaly::bridge
