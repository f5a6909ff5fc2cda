// Asks once for the first and last offsets of a topic's partitions, and where a time lies in them.
#pragma once

#include <string>
#include <vector>

#include "kafka/question.h"

namespace anomaly::kafka {

class TopicEnds : public Question {
  public:
    struct PartitionEnds {
        int32_t partition;
        Ends ends;
        int64_t from;  // first offset at or after from_ms within the ends
    };
    static constexpr int64_t kNoTimeAsked = INT64_MIN;

    // from_ms: since 1970, or kNoTimeAsked. Throws PropertyError, ClientError.
    TopicEnds(std::string topic, const Properties& properties, int64_t from_ms, int time_limit_ms);
    ~TopicEnds() override { stop(); }

    // After done.
    bool is_missing() const { return missing_; }  // the broker says that there is no such topic
    const std::vector<PartitionEnds>& partitions() const { return partitions_; }

  private:
    bool ask(std::string& error) override;
    bool ask_ends_of(const std::vector<int32_t>& partitions, std::string& error);
    bool ask_time(const std::vector<int32_t>& partitions, std::string& error);

    const std::string topic_;
    const int64_t from_ms_;
    bool missing_ = false;  // the thread's until it is done, and so is the next
    std::vector<PartitionEnds> partitions_;
};

}  // namespace anomaly::kafka
