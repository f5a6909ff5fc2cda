// Sends messages, and ends Kafka's transactions, on a thread of its own: everything of the client
// library that blocks happens there. An eventfd tells the owner that something has moved.
//
// The owner's functions never block, but for the destructor: up to about kAskMs. What was asked for
// is done in its order. After a failure all but roll_back() is passed over.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kafka/client.h"
#include "kafka/event_fd.h"
#include "kafka/out_batch.h"
#include "kafka/types.h"

namespace anomaly::kafka {

// What the thread is, as the owner sees it.
struct ProducerState {
    bool idle = false;          // all that was asked for is done
    int64_t waiting_bytes = 0;  // handed over and not yet given to the client library
    bool failed = false;        // error says why
    bool unknown = false;       // it was the commit that failed, and perhaps it has happened
    bool broken = false;        // it will never work again: close it
    std::string error;
};

class Producer {
  public:
    // With transactional_id "" messages go out as they are. Throws PropertyError, ClientError.
    Producer(const Properties& properties, std::string transactional_id);
    ~Producer();
    Producer(const Producer&) = delete;
    Producer& operator=(const Producer&) = delete;

    int fd() const { return fd_.get(); }
    bool is_transactional() const { return !transactional_id_.empty(); }

    // Sends the messages; the first one since the last commit or abort begins a transaction.
    void send(OutBatch batch);
    // Until every message is acknowledged by all replicas.
    void flush();
    // After a flush; nothing to do where no transaction has begun.
    void commit();
    // Nothing of what was handed over since the last commit becomes visible; what waits is dropped.
    // Then all begins anew.
    void roll_back();

    ProducerState state();

  private:
    enum class Step : uint8_t { kSend, kFlush, kCommit, kAbort };
    struct Job {
        Step step;
        OutBatch batch{};
    };
    using Clock = std::chrono::steady_clock;

    static void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque);
    static void on_error(rd_kafka_t*, int code, const char* text, void* opaque);

    void post(Job job);
    void run();
    void serve();
    bool next(Job& job);
    void execute(Job& job);
    bool begin();
    bool init();
    void send_all(const OutBatch& batch);
    bool send_one(const OutMessage& message);
    rd_kafka_topic_t* topic(std::string_view name);
    void flush_all();
    void commit_transaction();
    void abort_transaction();
    void fail(std::string text, bool unknown = false);
    bool failed();
    bool gives_up();

    const std::string transactional_id_;
    const std::chrono::milliseconds time_limit_;
    EventFd fd_;
    Owned<rd_kafka_t> client_;

    std::mutex mutex_;  // guards what follows, up to the blank line
    std::condition_variable wake_;
    bool stop_ = false;
    bool working_ = false;
    bool abort_asked_ = false;
    std::deque<Job> jobs_;
    ProducerState state_;

    // The thread's own.
    std::vector<std::pair<std::string, Owned<rd_kafka_topic_t>>> topics_;
    bool initialized_ = false;
    bool in_transaction_ = false;
    bool refused_ = false;      // the broker did not let us in
    std::string broker_error_;  // the last one that no answer reported

    std::thread thread_;  // last: it starts when all else is there
};

}  // namespace anomaly::kafka
