// A question to the broker that is asked on a thread of its own, again and again until there is an
// answer or the time is up. Whoever derives from it calls start() at the end of its constructor and
// stop() at the beginning of its destructor.
//
// The caller's functions never block, but for stop(): up to about kAskMs.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "kafka/ask.h"
#include "kafka/client.h"
#include "kafka/event_fd.h"
#include "kafka/trouble.h"
#include "kafka/types.h"

namespace anomaly::kafka {

class Question {
  public:
    virtual ~Question() = default;
    Question(const Question&) = delete;
    Question& operator=(const Question&) = delete;

    int fd() const { return fd_.get(); }  // readable once it is done
    bool done() const { return done_; }
    // After done: why there is no answer, "" if there is one.
    const std::string& error() const { return error_; }

  protected:
    // Throws PropertyError, ClientError.
    Question(const Properties& properties, int time_limit_ms);

    void start();
    void stop();
    // On the thread. False: `error` says why there is no answer yet.
    virtual bool ask(std::string& error) = 0;
    rd_kafka_t* client() const { return client_.get(); }
    int time_left_ms() const;
    bool stopping();

  private:
    using Clock = std::chrono::steady_clock;

    void run();
    bool is_refused(std::string& error);

    const Clock::time_point deadline_;
    LogRing log_;
    EventFd fd_;
    Owned<rd_kafka_t> client_;
    const Owned<rd_kafka_queue_t> queue_;  // its events
    Trouble trouble_;                      // the thread's
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stop_ = false;  // under the mutex
    std::string error_;  // the thread's until done_
    std::atomic<bool> done_ = false;
    std::thread thread_;
};

}  // namespace anomaly::kafka
