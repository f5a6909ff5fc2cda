// The thread that takes messages out of the client's queues and copies them into chunks, so that
// the reader's thread has whole runs of messages to hand on.
//
// Each message that the client has fetched is some memory of its own, and freeing it waits for the
// lock that the client's thread allocates the next ones under: more work than to decode it, and it
// is done here while the reader's thread decodes. Signals are blocked; nothing blocks but the wait
// for the client.
#pragma once

#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/data/message.h"
#include "kafka/client.h"
#include "kafka/event_fd.h"

namespace anomaly::kafka {

class Control;

// The client stops to fetch for a partition of which so much waits.
struct QueueLimits {
    int64_t messages = INT64_MAX;
    int64_t bytes = INT64_MAX;
};

// What came one after another: messages, and between them the ends and errors that the client told.
struct Chunk {
    struct Mark {
        int32_t before;  // the message it precedes
        rd_kafka_resp_err_t error;
        int64_t offset;
        std::string text;
    };

    bool is_empty() const { return messages.size() == 0 && marks.empty(); }
    bool is_full() const;
    void clear();
    // What one huge message took is not kept for all that follow.
    static bool is_oversized(const MessageBatch& messages);

    MessageBatch messages;
    std::vector<Mark> marks;
};

// One partition's queue, from one beginning to read it until the next.
class Tap {
  public:
    // What the fds must outlive: `taken` tells the reader that a chunk is no longer empty,
    // `fetched` the thread that there is room again.
    Tap(int32_t partition, Owned<rd_kafka_queue_t> queue, const QueueLimits& limits,
        bool with_headers, const EventFd& taken, const EventFd& fetched);

    // Puts what was taken since in place of the chunk's content; false: nothing was. Rethrows what
    // ended the copying.
    bool take(Chunk& chunk);
    // Whether take() would give something.
    bool has_news();
    // Nothing more comes of it.
    void close();
    // Messages, ends and errors that take() would still give.
    int64_t queued();

    // The thread's. Copies some of what waits; false: nothing waits, or there is no room.
    // *stalled: perhaps the client has stopped to fetch, and goes on late (see Control::nudge).
    bool drain(bool* stalled);
    bool is_closed();
    int32_t partition() const { return partition_; }

  private:
    static void copy(rd_kafka_message_t* message, void* tap) noexcept;
    void add(const rd_kafka_message_t& message);
    bool may_have_stopped(int64_t most, int64_t left) const;
    int64_t waiting() const;

    const int32_t partition_;
    const QueueLimits limits_;
    const bool with_headers_;
    const EventFd& taken_;
    const EventFd& fetched_;

    std::mutex mutex_;  // guards what follows
    Owned<rd_kafka_queue_t> queue_;
    Chunk chunk_;
    int32_t left_in_step_ = 0;
    int64_t largest_bytes_ = 0;  // of a message, so far
    bool waits_for_room_ = false;
    std::exception_ptr failure_;
};

class Intake {
  public:
    // `fetched` is what the client fires when a queue is no longer empty.
    Intake(const EventFd& fetched, Control& control);
    ~Intake();
    Intake(const Intake&) = delete;
    Intake& operator=(const Intake&) = delete;

    void add(std::shared_ptr<Tap> tap);

  private:
    void run();
    bool take_added();  // false: it is to stop
    void drain_all();

    const EventFd& fetched_;
    Control& control_;
    std::mutex mutex_;  // guards the next two
    std::list<std::shared_ptr<Tap>> added_;
    bool stop_ = false;
    std::list<std::shared_ptr<Tap>> taps_;  // the thread's own
    std::thread thread_;                    // last: it starts when all else is there
};

}  // namespace anomaly::kafka
