// consume BROKERS TOPIC: reads a topic from its beginning to its end with the client library's
// batch API and drops the messages: the limit for everything that reads with this library.
//
// Prints messages, seconds, CPU seconds and peak memory in kB, separated by tabs.
#include <librdkafka/rdkafka.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr int kTimeoutMs = 10000;
constexpr size_t kBatch = 1000;
// A batch that is not full is waited for until this has passed, also the last one.
constexpr int kBatchWaitMs = 5;

struct Deleter {
    void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
    void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
    void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
    void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
    void operator()(const rd_kafka_metadata_t* data) const { rd_kafka_metadata_destroy(data); }
    void operator()(rd_kafka_topic_partition_list_t* list) const {
        rd_kafka_topic_partition_list_destroy(list);
    }
};
template <class T>
using Owned = std::unique_ptr<T, Deleter>;

Owned<rd_kafka_t> make_client(const char* brokers) {
    char error[512] = {};
    Owned<rd_kafka_conf_t> conf(rd_kafka_conf_new());
    const char* const settings[][2] = {
        {"bootstrap.servers", brokers},
        {"group.id", "bench"},
        {"enable.auto.commit", "false"},
        {"enable.partition.eof", "true"},
        // Else a queue that was full once makes the library of Debian 12 pause for half a second.
        {"fetch.error.backoff.ms", "20"},
        // Or the ends of all partitions are told a tenth of a second late.
        {"fetch.wait.max.ms", "5"},
    };
    for (const auto& setting : settings) {
        if (rd_kafka_conf_set(conf.get(), setting[0], setting[1], error, sizeof error) !=
            RD_KAFKA_CONF_OK)
            throw std::runtime_error(error);
    }
    Owned<rd_kafka_t> client(rd_kafka_new(RD_KAFKA_CONSUMER, conf.get(), error, sizeof error));
    if (!client) throw std::runtime_error(error);
    (void)conf.release();  // the client's now
    return client;
}

// Returns how many partitions there are.
int assign_all(rd_kafka_t* client, const char* name) {
    const Owned<rd_kafka_topic_t> topic(rd_kafka_topic_new(client, name, nullptr));
    const rd_kafka_metadata_t* found = nullptr;
    if (rd_kafka_metadata(client, 0, topic.get(), &found, kTimeoutMs) != RD_KAFKA_RESP_ERR_NO_ERROR)
        throw std::runtime_error("the broker does not answer");
    const Owned<const rd_kafka_metadata_t> metadata(found);
    const int count = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    if (count == 0) throw std::runtime_error("there is no such topic");
    const Owned<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(count));
    for (int p = 0; p < count; p++)
        rd_kafka_topic_partition_list_add(list.get(), name, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    if (rd_kafka_assign(client, list.get()) != RD_KAFKA_RESP_ERR_NO_ERROR)
        throw std::runtime_error("could not assign the partitions");
    return count;
}

int64_t drain(rd_kafka_t* client, int partitions) {
    const Owned<rd_kafka_queue_t> queue(rd_kafka_queue_get_consumer(client));
    std::vector<rd_kafka_message_t*> batch(kBatch);
    int64_t messages = 0;
    auto heard = std::chrono::steady_clock::now();
    while (partitions > 0) {
        const ssize_t count =
            rd_kafka_consume_batch_queue(queue.get(), kBatchWaitMs, batch.data(), batch.size());
        const auto now = std::chrono::steady_clock::now();
        if (count > 0) heard = now;
        if (count < 0 || now - heard > std::chrono::milliseconds(kTimeoutMs))
            throw std::runtime_error("no message came");
        for (ssize_t i = 0; i < count; i++) {
            rd_kafka_message_t* message = batch[static_cast<size_t>(i)];
            if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
                partitions--;
            else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
                throw std::runtime_error(rd_kafka_message_errstr(message));
            else
                messages++;
            rd_kafka_message_destroy(message);
        }
    }
    return messages;
}

double seconds_of(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

void run(const char* brokers, const char* topic) {
    const auto begun = std::chrono::steady_clock::now();
    const Owned<rd_kafka_t> client = make_client(brokers);
    const int64_t messages = drain(client.get(), assign_all(client.get(), topic));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begun;
    rusage usage = {};
    getrusage(RUSAGE_SELF, &usage);
    std::printf("%lld\t%.3f\t%.2f\t%ld\n", static_cast<long long>(messages), seconds.count(),
                seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime), usage.ru_maxrss);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc != 3) throw std::runtime_error("usage: consume BROKERS TOPIC");
        run(argv[1], argv[2]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "consume: %s\n", error.what());
        return 1;
    }
}
