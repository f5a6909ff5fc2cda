#include "bridge/topic.h"

#include <memory>
#include <string>
#include <vector>

#include "bridge/guard.h"
#include "kafka/topic_ends.h"
#include "kafka/topic_list.h"

namespace anomaly::bridge {

namespace {

kafka::Properties properties_of(const Property* properties, int32_t count) {
    kafka::Properties list;
    for (int32_t i = 0; i < count; i++) list.emplace_back(properties[i].name, properties[i].value);
    return list;
}

}  // namespace

struct TopicEnds {
    kafka::TopicEnds question;
    std::vector<PartitionEnds> answer;
};

Status topic_ends_open(const char* topic, const Property* properties, int32_t property_count,
                       int64_t from_ms, int32_t time_limit_ms, TopicEnds** out) noexcept {
    return guard([&] {
        *out = new TopicEnds{
            {topic, properties_of(properties, property_count), from_ms, time_limit_ms}, {}};
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

// ---- the list of topics ----

struct TopicList {
    kafka::TopicList question;
    std::vector<const char*> names;
};

Status topic_list_open(const Property* properties, int32_t property_count, int32_t time_limit_ms,
                       TopicList** out) noexcept {
    return guard([&] {
        *out = new TopicList{{properties_of(properties, property_count), time_limit_ms}, {}};
    });
}

int topic_list_fd(const TopicList* list) noexcept {
    return list->question.fd();
}

Status topic_list_result(TopicList* list, bool* done, const char* const** names,
                         int32_t* count) noexcept {
    return guard([&] {
        *done = list->question.done();
        *names = nullptr;
        *count = 0;
        if (!*done) return Status{};
        const std::string& error = list->question.error();
        if (!error.empty()) return failed(Code::kBroker, error.c_str());
        list->names.clear();
        for (const std::string& name : list->question.names()) list->names.push_back(name.c_str());
        *names = list->names.data();
        *count = static_cast<int32_t>(list->names.size());
        return Status{};
    });
}

void topic_list_close(TopicList* list) noexcept {
    delete list;
}

}  // namespace anomaly::bridge
