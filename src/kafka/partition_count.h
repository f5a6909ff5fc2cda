// Watches how many partitions topics have: a thread of our own asks one question about all topics
// of a client, now and then.
//
// Signals are blocked on it. It ends within about the time of one question (kafka/ask.h).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "kafka/client.h"
#include "kafka/event_fd.h"

namespace anomaly::kafka {

class PartitionCount {
  public:
    // The client and the fd, which tells that a topic has changed, must outlive it.
    PartitionCount(rd_kafka_t* client, const EventFd& fd);
    ~PartitionCount();
    PartitionCount(const PartitionCount&) = delete;
    PartitionCount& operator=(const PartitionCount&) = delete;

    // Asks at once, and from then on. The client must know the topic.
    void add(const std::string& topic, int32_t count);
    void remove(const std::string& topic);
    // Another count was seen since add(), or an error, or the question was not answered.
    bool has_changed(const std::string& topic);

  private:
    struct Topic {
        int32_t count;
        bool changed;
    };

    void run();
    Owned<const rd_kafka_metadata_t> ask();
    void compare(const rd_kafka_metadata_t* answer);
    bool stopping();

    rd_kafka_t* const client_;
    const EventFd& fd_;
    const std::chrono::milliseconds refresh_;
    const int64_t fetch_wait_ms_;
    std::mutex mutex_;  // guards what follows
    std::condition_variable wake_;
    bool stop_ = false;
    bool added_ = false;
    std::map<std::string, Topic> topics_;
    std::thread thread_;  // last: it starts when all else is there
};

}  // namespace anomaly::kafka
