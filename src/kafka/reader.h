// Reads one topic: one queue per partition, so that the caller chooses which partition to read on.
//
// Everything here is called on one thread (the caller's) and never blocks; what must wait for the
// broker happens on a control thread of our own, and messages are copied on another (intake).
// Offsets are Kafka's. May not know PostgreSQL.
//
// The rule for waiting: call events() (it also clears fd), then pull() until every partition of
// interest has given nothing since, then wait on fd. It fires when a queue goes from empty to
// non-empty, and when pull() has found something for events() to tell. Whoever calls events() and
// waits without having pulled in between may miss a message.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/data/message.h"
#include "kafka/client.h"
#include "kafka/types.h"

namespace anomaly::kafka {

enum class EventKind : uint8_t {
    kAssigned,        // offset = first wanted; those of the first discovery come all at once
    kPartitionAdded,  // a partition that appeared later; offset = where it begins
    kEof,             // all up to offset was pulled, and the broker says nothing follows
    kLostRange,       // [offset, to_offset) is gone, text = why; reading goes on at resume_offset
    kTopicMissing,    // the topic does not exist (yet); asked again by itself; text = why
    kTopicFound,      // now it does
    kBrokerDown,      // text = why
    kBrokerUp,        // the broker answered again, or for the first time
};

struct Event {
    EventKind kind;
    int32_t partition = -1;
    int64_t offset = -1;
    int64_t to_offset = -1;
    int64_t resume_offset = -1;  // kLostRange: less than offset when the topic was made again
    std::string text{};
};

struct ReaderStats {
    int64_t message_count = 0;  // handed out since open
    int64_t byte_count = 0;
    int64_t memory_bytes = 0;  // an estimate of what waits in the client's queues
};

class Reader {
  public:
    // Throws PropertyError (client.h) for a property that the client library does not take.
    // Headers are copied only when they are wanted.
    Reader(std::string topic, const Properties& properties, bool with_headers = false);
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    int fd() const;

    // Once. Finds the partitions, then begins; partitions that `starts` does not name begin at
    // `otherwise` (an offset, kBeginning, kEnd or kUnread).
    void assign(std::vector<Start> starts, int64_t otherwise);

    // How to wait from now on, after a moment in which all goes on as it did. Begins in haste, and
    // wakes up quick. gait(): the one that it has; patient while it rests.
    void set_gait(Gait gait);
    Gait gait() const;

    // Lets its client go, from which nothing comes until wake() makes another one: that reads on
    // where this one was, after the usual checks. Nothing waits in a reader that rests.
    void rest();
    void wake();
    bool rests() const;

    // Appends what has happened since the last call. A kEof comes out after the messages before
    // it were pulled, and not at all when a later message was pulled meanwhile.
    void events(std::vector<Event>& out);

    // Appends messages of the partition to the batch, until it holds max_rows or about max_bytes
    // in all; the caller calls batch.finish(). Returns how many; 0: none waits.
    int32_t pull(int32_t partition, MessageBatch& batch, int32_t max_rows, int64_t max_bytes);

    // pull() hands out nothing at or above the offset; once nothing lies below it, the partition's
    // position is the limit.
    void set_limit(int32_t partition, int64_t offset);
    void clear_limits();

    // First offset not handed out yet; kBeginning or kEnd until the partition is assigned.
    int64_t position(int32_t partition) const;
    // The same with the last message handed out and its hash: the next Start of the partition.
    Start progress(int32_t partition) const;

    // Makes the broker confirm the end with a fetch of its own: a new kEof follows, after the
    // messages before it. Nothing to do where one is still to come.
    void request_eof(int32_t partition);

    // Whether every partition was read to an end that the broker confirmed, and nothing has come
    // since. Not while it rests.
    bool is_at_end() const;

    // Tells the broker these positions as offsets of the group, sooner or later: when it wakes up,
    // if it rests. One that the broker refuses is not told again.
    void mirror(std::vector<Start> positions);

    // How many messages of the partition the client has fetched and not handed out.
    int64_t queued(int32_t partition) const;

    // How many messages are known to lie ahead of the positions; -1: not known.
    int64_t lag() const;

    ReaderStats stats() const;

    // Next log line of the client library; false: none. Level as syslog.
    bool next_log(std::string& line, int& level);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace anomaly::kafka
