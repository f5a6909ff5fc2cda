#include "kafka/topic_ends.h"

#include <algorithm>
#include <utility>

namespace anomaly::kafka {

TopicEnds::TopicEnds(std::string topic, const Properties& properties, int64_t from_ms,
                     int time_limit_ms)
    : Question(properties, time_limit_ms), topic_(std::move(topic)), from_ms_(from_ms) {
    start();
}

bool TopicEnds::ask(std::string& error) {
    const Partitions found = ask_partitions(client(), topic_, time_left_ms());
    error = found.text;
    missing_ = found.answer == Answer::kMissing;
    if (missing_) return true;
    if (found.answer != Answer::kGiven) return false;
    return ask_ends_of(found.numbers, error) && ask_time(found.numbers, error);
}

bool TopicEnds::ask_ends_of(const std::vector<int32_t>& partitions, std::string& error) {
    partitions_.clear();
    for (const int32_t partition : partitions) {
        if (stopping()) return true;
        const EndsAnswer ends = ask_ends(client(), topic_, partition, time_left_ms());
        error = ends.text;
        if (ends.answer != Answer::kGiven) return false;
        partitions_.push_back({partition, ends.ends, ends.ends.low});
    }
    return true;
}

bool TopicEnds::ask_time(const std::vector<int32_t>& partitions, std::string& error) {
    if (from_ms_ == kNoTimeAsked || stopping()) return true;
    // Times before 1970 would be taken for Kafka's words for the beginning and the end.
    const TimesAnswer times =
        ask_times(client(), topic_, partitions, std::max<int64_t>(from_ms_, 0), time_left_ms());
    error = times.text;
    if (times.answer != Answer::kGiven) return false;
    for (size_t i = 0; i < partitions_.size(); i++) {
        const Ends& ends = partitions_[i].ends;
        const int64_t offset = times.offsets[i] < 0 ? ends.high : times.offsets[i];
        partitions_[i].from = std::clamp(offset, ends.low, std::max(ends.low, ends.high));
    }
    return true;
}

}  // namespace anomaly::kafka
