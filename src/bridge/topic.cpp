#include "bridge/topic.h"

#include <memory>
#include <string>
#include <vector>

#include "bridge/guard.h"
#include "kafka/topic_ends.h"

namespace anomaly::bridge {

struct TopicEnds {
    kafka::TopicEnds question;
    std::vector<PartitionEnds> answer;
};

Status topic_ends_open(const char* topic, const Property* properties, int32_t property_count,
                       int64_t from_ms, int32_t time_limit_ms, TopicEnds** out) noexcept {
    return guard([&] {
        kafka::Properties list;
        for (int32_t i = 0; i < property_count; i++)
            list.emplace_back(properties[i].name, properties[i].value);
        *out = new TopicEnds{{topic, list, from_ms, time_limit_ms}, {}};
    });
}

int topic_ends_fd(const TopicEnds* ends) noexcept {
    return ends->question.fd();
}

Status topic_ends_result(TopicEnds* ends, bool* done, const PartitionEnds** partitions,
                         int32_t* count) noexcept {
    return guard([&] {
        *done = ends->question.done();
        *partitions = nullptr;
        *count = 0;
        if (!*done) return Status{};
        const std::string& error = ends->question.error();
        if (ends->question.is_missing()) return failed(Code::kNoTopic, error.c_str());
        if (!error.empty()) return failed(Code::kBroker, error.c_str());
        ends->answer.clear();
        for (const auto& [partition, found, from] : ends->question.partitions())
            ends->answer.push_back({partition, found.low, found.high, from});
        *partitions = ends->answer.data();
        *count = static_cast<int32_t>(ends->answer.size());
        return Status{};
    });
}

void topic_ends_close(TopicEnds* ends) noexcept {
    delete ends;
}

}  // namespace anomaly::bridge
