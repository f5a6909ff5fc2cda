// Plain data that the Kafka folder's parts share.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace anomaly::kafka {

// librdkafka's own names, with dots.
using Properties = std::vector<std::pair<std::string, std::string>>;

constexpr int64_t kBeginning = -2;  // as librdkafka's logical offsets
constexpr int64_t kEnd = -1;
constexpr int64_t kUnread = -3;  // only for those that a list of Starts does not name: left alone

// Where a partition begins; also how far it was read.
struct Start {
    int32_t partition = -1;
    int64_t next_offset = kBeginning;  // first offset wanted, or kBeginning, kEnd
    int64_t last_offset = -1;  // of the last message taken in, -1: none; checked when still there
    uint64_t last_hash = 0;    // message_hash() of that message
};

struct Ends {
    int64_t low;   // first offset there is
    int64_t high;  // first offset after the last message
};

}  // namespace anomaly::kafka
