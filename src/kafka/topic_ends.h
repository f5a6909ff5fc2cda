// Asks once for the first and last offsets of a topic's partitions, and where a time lies in them,
// on a thread of its own.
//
// The caller's functions never block, but for the destructor: up to about kAskMs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kafka/ask.h"
#include "kafka/client.h"
#include "kafka/event_fd.h"
#include "kafka/trouble.h"
#include "kafka/types.h"

namespace anomaly::kafka {

class TopicEnds {
  public:
    struct PartitionEnds {
        int32_t partition;
        Ends ends;
        int64_t from;  // first offset at or after from_ms within the ends
    };
    static constexpr int64_t kNoTimeAsked = INT64_MIN;

    // from_ms: since 1970, or kNoTimeAsked. Throws PropertyError, ClientError.
    TopicEnds(std::string topic, const Properties& properties, int64_t from_ms, int time_limit_ms);
    ~TopicEnds();
    TopicEnds(const TopicEnds&) = delete;
    TopicEnds& operator=(const TopicEnds&) = delete;

    int fd() const { return fd_.get(); }  // readable once it is done
    bool done() const { return done_; }
    // After done: why there is no answer, "" if there is one.
    const std::string& error() const { return error_; }
    bool is_missing() const { return missing_; }  // the broker says that there is no such topic
    const std::vector<PartitionEnds>& partitions() const { return partitions_; }

  private:
    using Clock = std::chrono::steady_clock;

    void run();
    bool ask(std::string& error);
    bool ask_ends_of(const std::vector<int32_t>& partitions, std::string& error);
    bool ask_time(const std::vector<int32_t>& partitions, std::string& error);
    bool stopping();
    bool is_refused(std::string& error);
    int time_left_ms() const;

    const std::string topic_;
    const int64_t from_ms_;
    const Clock::time_point deadline_;
    LogRing log_;
    EventFd fd_;
    Owned<rd_kafka_t> client_;
    const Owned<rd_kafka_queue_t> queue_;  // its events
    Trouble trouble_;                      // the thread's
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stop_ = false;                      // under the mutex
    std::string error_;                      // the thread's until done_
    bool missing_ = false;                   // likewise
    std::vector<PartitionEnds> partitions_;  // likewise
    std::atomic<bool> done_ = false;
    std::thread thread_;  // last: it starts when all else is there
};

}  // namespace anomaly::kafka
