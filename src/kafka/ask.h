// Questions to the broker that block until it answers: for threads of our own only.
#pragma once

#include <string>
#include <vector>

#include "kafka/client.h"
#include "kafka/types.h"

namespace anomaly::kafka {

// One question never takes longer, so that a thread can be stopped within about this time.
constexpr int kAskMs = 800;

enum class Answer : uint8_t {
    kGiven,
    kMissing,      // the topic does not exist, or is not ours to see
    kUnavailable,  // it exists, but just now there is no leader to ask
    kUnreachable,  // no broker answers
};

struct Partitions {
    Answer answer;
    std::vector<int32_t> numbers;  // ascending
    std::string text;              // why not
};
Partitions ask_partitions(rd_kafka_t* client, const std::string& topic, int time_ms);

struct EndsAnswer {
    Answer answer;
    Ends ends;
    std::string text;
};
EndsAnswer ask_ends(rd_kafka_t* client, const std::string& topic, int32_t partition, int time_ms);

struct TopicNames {
    Answer answer;
    std::vector<std::string> names;  // ascending
    std::string text;
};
TopicNames ask_topics(rd_kafka_t* client, int time_ms);

struct TimesAnswer {
    Answer answer;
    std::vector<int64_t> offsets;  // for each partition asked about; -1: no such message
    std::string text;
};
// The first message of each partition whose timestamp is at or after from_ms (since 1970).
TimesAnswer ask_times(rd_kafka_t* client, const std::string& topic,
                      const std::vector<int32_t>& partitions, int64_t from_ms, int time_ms);

}  // namespace anomaly::kafka
