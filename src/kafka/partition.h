// One partition as the reader hands it out: messages in order, each once, up to a limit, and the
// checks that tell whether the topic is still the one that was read before.
//
// The reader's thread only; never blocks.
#pragma once

#include <deque>
#include <string>

#include "core/data/message.h"
#include "kafka/client.h"
#include "kafka/types.h"

namespace anomaly::kafka {

constexpr int64_t kNoLimit = INT64_MAX;

// The client stops to fetch for a partition of which so much waits.
struct QueueLimits {
    int64_t messages = INT64_MAX;
    int64_t bytes = INT64_MAX;
};

class Partition {
  public:
    Partition(const Start& start, const QueueLimits& limits) : progress_(start), full_(limits) {}

    // Reads on from `begin` (next_offset is an offset) out of the queue. With verify the first
    // message may be begin.last_offset: then its hash must be equal, and it is not handed out.
    void start(const Start& begin, bool verify, Owned<rd_kafka_queue_t> queue);
    // Nothing comes until the next start: what waits would not be trusted.
    void stop();
    // Stops, and gives the number of the request to begin again at progress(). Only its answer
    // counts: were an older one taken, messages would be handed out that the next answer, which
    // begins where this request says, would hand out once more.
    int64_t request_restart();
    bool is_awaited(int64_t request) const { return request == request_; }
    bool is_reading() const { return queue_ != nullptr; }

    int32_t pull(MessageBatch& batch, int32_t max_rows, int64_t max_bytes);

    void set_limit(int64_t offset);
    const Start& progress() const { return progress_; }
    int64_t queued() const;
    // True after a pull from a queue that was full, or that got nothing since the pull before:
    // perhaps the client has stopped to fetch, and goes on late (see Control::nudge).
    bool seems_stalled() const { return stalled_; }

    // Whether take_eof() or take_trouble() would tell something.
    bool has_news() const { return eof_pending_ || trouble_ != Trouble::kNone; }
    // True once for each end that the broker confirmed and that no later message has outdated.
    bool take_eof();
    // Whether an end was confirmed and nothing has come since: only then a new one must be asked.
    bool rests_at_end() const;

    enum class Trouble : uint8_t { kNone, kOutOfRange, kMadeAgain };
    // Why reading stopped (see stop()), once.
    Trouble take_trouble(std::string& text);
    // The last error that the client reported and went on from, "" if none.
    const std::string& last_error() const { return last_error_; }

  private:
    enum class Step : uint8_t { kTaken, kSkipped, kWait };
    bool fill();
    Step step(const rd_kafka_message_t& message, MessageBatch& batch);
    Step step_error(const rd_kafka_message_t& message);
    Step step_eof(int64_t offset);
    Step step_verify(const rd_kafka_message_t& message);
    void trouble(Trouble what, std::string text);
    void remember(const rd_kafka_message_t& message);

    Start progress_;
    int64_t request_ = 0;  // the last one
    const QueueLimits full_;
    Owned<rd_kafka_queue_t> queue_;
    std::deque<Owned<rd_kafka_message_t>> popped_;  // not handed out yet
    int64_t limit_ = kNoLimit;
    bool verify_ = false;
    bool at_end_ = false;
    bool eof_pending_ = false;
    int64_t left_ = 0;  // waited after the last pull
    bool stalled_ = false;
    Trouble trouble_ = Trouble::kNone;
    std::string trouble_text_;
    std::string last_error_;
};

}  // namespace anomaly::kafka
