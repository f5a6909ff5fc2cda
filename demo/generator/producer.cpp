#include "producer.h"

#include <charconv>
#include <stdexcept>

namespace anomaly::demo {
namespace {

constexpr int kAskMs = 10000;

void append_number(std::string& out, int64_t number) {
    char text[24];
    const auto [end, error] = std::to_chars(text, text + sizeof text, number);
    out.append(text, end);
}

// As COPY reads it in its text format.
void append_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        switch (c) {
            case '\\':
                out += "\\\\";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\t':
                out += "\\t";
                break;
            default:
                out += c;
        }
    }
}

}  // namespace

Producer::Producer(const std::string& brokers, const std::string& topic,
                   const std::vector<std::pair<std::string, std::string>>& properties,
                   std::FILE* file)
    : file_(file) {
    char error[512] = {};
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    std::vector<std::pair<std::string, std::string>> all = {
        {"bootstrap.servers", brokers},
        {"linger.ms", "5"},
        {"batch.num.messages", "20000"},
        {"queue.buffering.max.messages", "400000"},
        {"queue.buffering.max.kbytes", "262144"},
        // In order and once, also when the broker is killed meanwhile.
        {"enable.idempotence", "true"},
        {"message.timeout.ms", "300000"},
        {"reconnect.backoff.max.ms", "1000"},
        {"log_level", "0"}};
    all.insert(all.end(), properties.begin(), properties.end());
    for (const auto& [name, value] : all)
        if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof error)) {
            rd_kafka_conf_destroy(conf);
            throw std::runtime_error(error);
        }
    rd_kafka_conf_set_opaque(conf, this);
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    client_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (client_ == nullptr) throw std::runtime_error(error);
    topic_ = rd_kafka_topic_new(client_, topic.c_str(), nullptr);
}

Producer::~Producer() {
    rd_kafka_topic_destroy(topic_);
    rd_kafka_destroy(client_);
}

int32_t Producer::partition_count() {
    const rd_kafka_metadata_t* metadata = nullptr;
    const rd_kafka_resp_err_t error = rd_kafka_metadata(client_, 0, topic_, &metadata, kAskMs);
    if (error) throw std::runtime_error(rd_kafka_err2str(error));
    const int32_t count = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    if (count == 0) throw std::runtime_error("the topic has no partitions");
    return count;
}

void Producer::send(int32_t partition, std::optional<std::string_view> key,
                    std::optional<std::string_view> value, int64_t timestamp_ms) {
    static char empty[1] = {};  // tells an empty value from none
    const auto pointer = [](const std::optional<std::string_view>& text) -> void* {
        if (!text) return nullptr;
        return text->empty() ? empty : const_cast<char*>(text->data());
    };
    const size_t key_size = key ? key->size() : 0;
    const size_t value_size = value ? value->size() : 0;
    while (true) {
        const rd_kafka_resp_err_t error = rd_kafka_producev(
            client_, RD_KAFKA_V_RKT(topic_), RD_KAFKA_V_PARTITION(partition),
            RD_KAFKA_V_KEY(pointer(key), key_size), RD_KAFKA_V_VALUE(pointer(value), value_size),
            RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_END);
        if (!error) return;
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            throw std::runtime_error(rd_kafka_err2str(error));
        serve(1000);
    }
}

bool Producer::flush(int wait_ms) {
    return rd_kafka_flush(client_, wait_ms) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

void Producer::delivered(rd_kafka_t* client, const rd_kafka_message_t* message, void* self) {
    (void)client;
    static_cast<Producer*>(self)->note(*message);
}

void Producer::note(const rd_kafka_message_t& message) {
    if (message.err) {
        failed_++;
        return;
    }
    acknowledged_++;
    if (file_ == nullptr) return;
    line_.clear();
    append_number(line_, message.partition);
    line_ += '\t';
    append_number(line_, message.offset);
    line_ += '\t';
    if (message.payload == nullptr)
        line_ += "\\N";
    else
        append_escaped(line_, {static_cast<const char*>(message.payload), message.len});
    line_ += '\n';
    std::fwrite(line_.data(), 1, line_.size(), file_);
}

}  // namespace anomaly::demo
