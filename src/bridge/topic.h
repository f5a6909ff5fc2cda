// Questions about a topic that need the broker's answer; asked on a thread of the bridge's own, so
// that the caller waits on a file descriptor and stays interruptible.
#pragma once

#include <cstdint>

#include "bridge/ingest.h"
#include "bridge/status.h"

namespace anomaly::bridge {

struct TopicEnds;

struct PartitionEnds {
    int32_t partition;
    int64_t low;   // first offset there is
    int64_t high;  // first offset after the last message
    int64_t from;  // first message at or after the time asked about (low: none was, high: none is)
};

constexpr int64_t kNoTimeAsked = INT64_MIN;

// Asks for the first and last offsets of every partition, and for the first message whose timestamp
// is at or after from_ms (since 1970; kNoTimeAsked). time_limit_ms bounds the question.
Status topic_ends_open(const char* topic, const Property* properties, int32_t property_count,
                       int64_t from_ms, int32_t time_limit_ms, TopicEnds** out) noexcept;
int topic_ends_fd(const TopicEnds* ends) noexcept;  // readable once answered
// kOk and *done false: not yet. An error: the broker's, in words; kNoTopic: the topic is missing.
Status topic_ends_result(TopicEnds* ends, bool* done, const PartitionEnds** partitions,
                         int32_t* count) noexcept;
void topic_ends_close(TopicEnds* ends) noexcept;

struct TopicList;

// Asks for the names of all topics but Kafka's own; the functions are as above.
Status topic_list_open(const Property* properties, int32_t property_count, int32_t time_limit_ms,
                       TopicList** out) noexcept;
int topic_list_fd(const TopicList* list) noexcept;
Status topic_list_result(TopicList* list, bool* done, const char* const** names,
                         int32_t* count) noexcept;
void topic_list_close(TopicList* list) noexcept;

}  // namespace anomaly::bridge
