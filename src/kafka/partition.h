// One partition as the reader hands it out: messages in order, each once, up to a limit, and the
// checks that tell whether the topic is still the one that was read before.
//
// The reader's thread only; waits at most while its tap copies a few messages.
#pragma once

#include <memory>
#include <string>

#include "core/data/message.h"
#include "kafka/intake.h"
#include "kafka/types.h"

namespace anomaly::kafka {

constexpr int64_t kNoLimit = INT64_MAX;

class Partition {
  public:
    explicit Partition(const Start& start) : progress_(start) {}

    // Reads on from `begin` (next_offset is an offset) out of the tap. With verify the first
    // message may be begin.last_offset: then its hash must be equal, and it is not handed out.
    void start(const Start& begin, bool verify, std::shared_ptr<Tap> tap);
    // After a start: ends before the offset are none. They were told to a client that had not taken
    // over yet, and what came after them was handed out by the one before it.
    void skip_ends_before(int64_t offset) { ends_from_ = offset; }
    // Nothing comes until the next start: what waits would not be trusted.
    void stop();
    // Stops, and gives the number of the request to begin again at progress(). Only its answer
    // counts: were an older one taken, messages would be handed out that the next answer, which
    // begins where this request says, would hand out once more.
    int64_t request_restart();
    // Stops, and forgets requests: those of a client that is gone are not answered.
    void rest();
    bool is_awaited(int64_t request) const { return request == request_; }
    bool is_reading() const { return tap_ != nullptr; }

    int32_t pull(MessageBatch& batch, int32_t max_rows, int64_t max_bytes);

    void set_limit(int64_t offset);
    const Start& progress() const { return progress_; }
    int64_t queued() const;

    // Whether take_eof() or take_trouble() would tell something.
    bool has_news() const { return eof_pending_ || trouble_ != Trouble::kNone; }
    // True once for each end that the broker confirmed and that no later message has outdated.
    bool take_eof();
    // Whether an end was confirmed and nothing has come since: only then a new one must be asked.
    bool rests_at_end() const;
    // The end that the broker told last, -1: none yet.
    int64_t last_end() const { return last_end_; }

    enum class Trouble : uint8_t { kNone, kOutOfRange, kMadeAgain };
    // Why reading stopped (see stop()), once.
    Trouble take_trouble(std::string& text);
    // The last error that the client reported and went on from, "" if none.
    const std::string& last_error() const { return last_error_; }

  private:
    enum class Verdict : uint8_t { kNew, kOld, kOther };
    void close();
    bool is_used_up() const;
    bool next_chunk();
    bool step(MessageBatch& batch, int32_t max_rows, int64_t max_bytes);
    int32_t run_end(int32_t rows, int64_t bytes) const;
    void hand_out(int32_t end, MessageBatch& batch);
    bool step_mark(const Chunk::Mark& mark);
    bool step_eof(int64_t offset);
    // Of the next message: to be handed out, was handed out before, or another in its place.
    Verdict judge(int64_t offset);
    void trouble(Trouble what, std::string text);

    Start progress_;
    int64_t request_ = 0;  // the last one
    std::shared_ptr<Tap> tap_;
    Chunk chunk_;  // taken out of the tap; handed out up to the next two
    int32_t next_message_ = 0;
    size_t next_mark_ = 0;
    int64_t ends_from_ = 0;
    int64_t limit_ = kNoLimit;
    bool verify_ = false;
    bool at_end_ = false;
    bool eof_pending_ = false;
    int64_t last_end_ = -1;
    Trouble trouble_ = Trouble::kNone;
    std::string trouble_text_;
    std::string last_error_;
};

}  // namespace anomaly::kafka
