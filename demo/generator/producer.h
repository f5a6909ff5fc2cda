// Produces to one topic as fast as the broker takes it, and notes what the broker acknowledged.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace anomaly::demo {

class Producer {
  public:
    // `file`: where each acknowledged message goes as "partition<TAB>offset<TAB>value" in the text
    // format of COPY; nullptr: nowhere. Throws std::runtime_error.
    Producer(const std::string& brokers, const std::string& topic,
             const std::vector<std::pair<std::string, std::string>>& properties, std::FILE* file);
    ~Producer();
    Producer(const Producer&) = delete;
    Producer& operator=(const Producer&) = delete;

    int32_t partition_count();
    // partition -1: the library's choice. No value: a null message. The timestamp 0 means now.
    // Waits while the queue is full.
    void send(int32_t partition, std::optional<std::string_view> key,
              std::optional<std::string_view> value, int64_t timestamp_ms);
    // Calls back for what was acknowledged, waiting at most so long.
    void serve(int wait_ms) { rd_kafka_poll(client_, wait_ms); }
    // True when all was acknowledged.
    bool flush(int wait_ms);

    int64_t acknowledged() const { return acknowledged_; }
    int64_t failed() const { return failed_; }

  private:
    static void delivered(rd_kafka_t* client, const rd_kafka_message_t* message, void* self);
    void note(const rd_kafka_message_t& message);

    rd_kafka_t* client_ = nullptr;
    rd_kafka_topic_t* topic_ = nullptr;
    std::FILE* const file_;
    int64_t acknowledged_ = 0;
    int64_t failed_ = 0;
    std::string line_;
};

}  // namespace anomaly::demo
