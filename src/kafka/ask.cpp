#include "kafka/ask.h"

#include <algorithm>

namespace anomaly::kafka {
namespace {

Answer answer_of(rd_kafka_resp_err_t error) {
    switch (error) {
        case RD_KAFKA_RESP_ERR_NO_ERROR:
            return Answer::kGiven;
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
        case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
            return Answer::kMissing;
        case RD_KAFKA_RESP_ERR__TRANSPORT:
        case RD_KAFKA_RESP_ERR__TIMED_OUT:
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        case RD_KAFKA_RESP_ERR__RESOLVE:
        case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        case RD_KAFKA_RESP_ERR__SSL:
            return Answer::kUnreachable;
        default:
            return Answer::kUnavailable;
    }
}

}  // namespace

Partitions ask_partitions(rd_kafka_t* client, const std::string& topic, int time_ms) {
    const Owned<rd_kafka_topic_t> handle(rd_kafka_topic_new(client, topic.c_str(), nullptr));
    if (!handle) return {Answer::kMissing, {}, rd_kafka_err2str(rd_kafka_last_error())};
    const rd_kafka_metadata_t* raw = nullptr;
    rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, handle.get(), &raw, time_ms);
    const std::unique_ptr<const rd_kafka_metadata_t, Deleter> metadata(raw);
    if (error) return {answer_of(error), {}, rd_kafka_err2str(error)};
    if (metadata->topic_cnt != 1) return {Answer::kUnavailable, {}, "no answer about the topic"};
    const rd_kafka_metadata_topic_t& found = metadata->topics[0];
    if (found.err) return {answer_of(found.err), {}, rd_kafka_err2str(found.err)};
    if (found.partition_cnt == 0) return {Answer::kMissing, {}, "the topic has no partitions"};

    Partitions out{Answer::kGiven, {}, {}};
    for (int i = 0; i < found.partition_cnt; i++) out.numbers.push_back(found.partitions[i].id);
    std::sort(out.numbers.begin(), out.numbers.end());
    return out;
}

EndsAnswer ask_ends(rd_kafka_t* client, const std::string& topic, int32_t partition, int time_ms) {
    Ends ends{};
    const rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(
        client, topic.c_str(), partition, &ends.low, &ends.high, time_ms);
    if (error) return {answer_of(error), {}, rd_kafka_err2str(error)};
    return {Answer::kGiven, ends, {}};
}

TopicNames ask_topics(rd_kafka_t* client, int time_ms) {
    const rd_kafka_metadata_t* raw = nullptr;
    const rd_kafka_resp_err_t error = rd_kafka_metadata(client, 1, nullptr, &raw, time_ms);
    const std::unique_ptr<const rd_kafka_metadata_t, Deleter> metadata(raw);
    if (error) return {answer_of(error), {}, rd_kafka_err2str(error)};
    TopicNames out{Answer::kGiven, {}, {}};
    for (int i = 0; i < metadata->topic_cnt; i++)
        if (!metadata->topics[i].err) out.names.emplace_back(metadata->topics[i].topic);
    std::sort(out.names.begin(), out.names.end());
    return out;
}

TimesAnswer ask_times(rd_kafka_t* client, const std::string& topic,
                      const std::vector<int32_t>& partitions, int64_t from_ms, int time_ms) {
    const Owned<rd_kafka_topic_partition_list_t> list(
        rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
    for (const int32_t partition : partitions) {
        rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = from_ms;
    }
    rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(client, list.get(), time_ms);
    TimesAnswer out{Answer::kGiven, {}, {}};
    for (int i = 0; i < list->cnt && !error; i++) {
        error = list->elems[i].err;
        out.offsets.push_back(std::max<int64_t>(list->elems[i].offset, -1));
    }
    if (error) return {answer_of(error), {}, rd_kafka_err2str(error)};
    return out;
}

}  // namespace anomaly::kafka
