// The thread that waits for the broker in the reader's stead: finds partitions, begins and begins
// again to read them, and finds out when the broker answers again.
//
// The reader's thread posts requests and takes replies; both under one mutex. An eventfd tells it
// of replies. The thread has every signal blocked and ends within about kAskMs of the destructor.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kafka/ask.h"
#include "kafka/client.h"
#include "kafka/event_fd.h"
#include "kafka/types.h"

namespace anomaly::kafka {

enum class ReplyKind : uint8_t {
    kUp,       // the broker answers
    kDown,     // it does not; text = why
    kMissing,  // there is no such topic; text = why
    kFound,    // there is one (again)
    kStarted,  // a partition is being read from now on
};

struct Reply {
    ReplyKind kind;
    std::string text{};
    // kStarted:
    bool is_new = false;  // appeared after the first discovery
    int64_t request = 0;  // the restart it answers, 0: none, the partition was found
    bool verify = false;  // the first message ought to be begin.last_offset, with its hash
    Start begin;          // next_offset is resolved: an offset
    bool lost = false;    // [lost_from, lost_to) is gone, text = why
    int64_t lost_from = 0;
    int64_t lost_to = 0;
    Owned<rd_kafka_queue_t> queue;
};

class Control {
  public:
    // The client and the fds must outlive it: one tells of replies, the other is fired by the
    // client when the queue of a partition is no longer empty.
    Control(rd_kafka_t* client, std::string topic, const EventFd& fd, const EventFd& fetched,
            int refresh_ms);
    ~Control();
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;

    void discover(std::vector<Start> starts, int64_t otherwise);
    // The broker may be gone: kDown comes if so. With is_down it is known to be gone: whatever was
    // found out before does not count, and kUp comes as soon as it answers.
    void probe(bool is_down);
    // Stops reading the partition and begins again where `begin` says, if that is still there.
    // `remade`: a reason to begin at the first message there is. `request` comes back with the
    // answer: a request that comes later may overtake this one, or be answered after it.
    void restart(const Start& begin, std::string remade, int64_t request);
    // Wakes the client's thread that fetches this partition. When all its queues were full it
    // sleeps for up to a second, however soon they are empty; a question to the leader wakes it.
    void nudge(int32_t partition);

    void take(std::vector<Reply>& out);

  private:
    struct Restart {
        Start begin;
        std::string remade;
        int64_t request;
    };
    using Clock = std::chrono::steady_clock;

    void run();
    bool serve();  // false: something is left to try again
    bool ask_topic();
    bool begin_all(const std::vector<int32_t>& partitions);
    bool restart_all();
    template <class Ask>
    auto ask_behind_fetch(const Ask& ask);
    bool ends_of(int32_t partition, Ends& out);
    Reply decide(const Start& begin, const std::string& remade, const Ends& ends) const;
    void start_reading(std::vector<Reply>& started);
    void stop_reading(int32_t partition);
    Start wanted(int32_t partition) const;
    void answered(Answer answer, const std::string& text);
    void tell(ReplyKind kind, std::string text);
    void tell_started(std::vector<Reply>& replies);
    bool stopping();

    rd_kafka_t* const client_;
    const std::string topic_;
    const EventFd& fd_;
    const EventFd& fetched_;
    const std::chrono::milliseconds refresh_;
    const int64_t fetch_wait_ms_;

    std::mutex mutex_;  // guards what follows, up to the blank line
    std::condition_variable wake_;
    bool stop_ = false;
    bool probe_ = false;
    int64_t outages_ = 0;  // how often it was known to be gone
    std::optional<std::vector<Start>> discover_;
    int64_t discover_otherwise_ = kBeginning;
    std::map<int32_t, Restart> restarts_;
    std::optional<int32_t> nudge_;
    std::vector<Reply> replies_;

    // The thread's own.
    std::vector<Start> starts_;
    int64_t otherwise_ = kBeginning;
    bool discovering_ = false;  // told to discover
    bool begun_ = false;        // the first discovery is done
    bool ask_due_ = false;      // the topic is to be asked about now
    Clock::time_point refresh_at_{};
    std::map<int32_t, Restart> work_;  // restarts under way
    std::optional<int32_t> nudged_;
    std::vector<int32_t> known_;
    int64_t outage_ = 0;  // the last one that it knows of
    bool reachable_ = false;
    bool told_down_ = false;
    bool missing_ = false;
    int leaderless_ = 0;  // attempts to begin that met a partition without a leader

    std::thread thread_;  // last: it starts when all else is there
};

}  // namespace anomaly::kafka
