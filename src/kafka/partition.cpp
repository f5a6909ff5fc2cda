#include "kafka/partition.h"

#include <algorithm>
#include <utility>

#include "core/data/message_hash.h"

namespace anomaly::kafka {
namespace {

uint64_t hash_of(const MessageBatch& batch, int32_t i) {
    const Message& m = batch[i];
    return message_hash(m.timestamp_ms, batch.key(i).data(), m.key_size, batch.value(i).data(),
                        m.value_size);
}

}  // namespace

void Partition::start(const Start& begin, bool verify, std::shared_ptr<Tap> tap) {
    stop();
    progress_ = begin;
    verify_ = verify;
    tap_ = std::move(tap);
}

void Partition::stop() {
    close();
    verify_ = at_end_ = eof_pending_ = false;
    ends_from_ = 0;
    trouble_ = Trouble::kNone;
}

void Partition::close() {
    if (tap_) tap_->close();
    tap_.reset();
    chunk_.clear();
    next_message_ = 0;
    next_mark_ = 0;
}

int64_t Partition::request_restart() {
    stop();
    return ++request_;
}

void Partition::rest() {
    stop();
    request_ = 0;
}

int32_t Partition::pull(MessageBatch& batch, int32_t max_rows, int64_t max_bytes) {
    const int32_t before = batch.size();
    while (tap_ && batch.size() < max_rows && static_cast<int64_t>(batch.bytes()) < max_bytes) {
        if (is_used_up() && !next_chunk()) break;
        if (!step(batch, max_rows, max_bytes)) break;
    }
    const int32_t taken = batch.size() - before;
    if (taken > 0) {
        progress_.last_offset = batch[batch.size() - 1].offset;
        progress_.last_hash = hash_of(batch, batch.size() - 1);
    }
    if (trouble_ != Trouble::kNone) close();
    return taken;
}

bool Partition::is_used_up() const {
    return next_message_ == chunk_.messages.size() && next_mark_ == chunk_.marks.size();
}

bool Partition::next_chunk() {
    next_message_ = 0;
    next_mark_ = 0;
    return tap_->take(chunk_);
}

// False: nothing more now.
bool Partition::step(MessageBatch& batch, int32_t max_rows, int64_t max_bytes) {
    if (next_mark_ < chunk_.marks.size() && chunk_.marks[next_mark_].before == next_message_)
        return step_mark(chunk_.marks[next_mark_++]);
    const int64_t offset = chunk_.messages[next_message_].offset;
    const Verdict verdict = judge(offset);
    if (verdict == Verdict::kOther) return false;
    if (verdict == Verdict::kOld) {
        next_message_++;
        return true;
    }
    if (offset >= limit_) {
        progress_.next_offset = std::max(progress_.next_offset, limit_);
        return false;
    }
    const int32_t end =
        run_end(max_rows - batch.size(), max_bytes - static_cast<int64_t>(batch.bytes()));
    progress_.next_offset = chunk_.messages[end - 1].offset + 1;
    at_end_ = eof_pending_ = false;
    hand_out(end, batch);
    return true;
}

// A batch is mostly one whole chunk, and then it needs no copy: they change their memory. One that
// is made of several would get too much of it back.
void Partition::hand_out(int32_t end, MessageBatch& batch) {
    const bool is_whole =
        next_message_ == 0 && end == chunk_.messages.size() && next_mark_ == chunk_.marks.size();
    if (is_whole && batch.size() == 0 && !Chunk::is_oversized(batch)) {
        std::swap(batch, chunk_.messages);
        chunk_.messages.clear();
        return;
    }
    batch.add_range(chunk_.messages, next_message_, end);
    next_message_ = end;
}

// Of messages that follow the next one, each new and within all limits. One at least.
int32_t Partition::run_end(int32_t rows, int64_t bytes) const {
    const MessageBatch& from = chunk_.messages;
    const bool has_mark = next_mark_ < chunk_.marks.size();
    int32_t last = has_mark ? chunk_.marks[next_mark_].before : from.size();
    last = std::min(last, next_message_ + rows);
    int32_t end = next_message_ + 1;
    while (end < last && from[end].offset > from[end - 1].offset && from[end].offset < limit_ &&
           static_cast<int64_t>(from[end].value_at - from[next_message_].value_at) < bytes)
        end++;
    return end;
}

Partition::Verdict Partition::judge(int64_t offset) {
    if (!verify_) return offset < progress_.next_offset ? Verdict::kOld : Verdict::kNew;
    if (offset < progress_.last_offset) return Verdict::kOld;
    verify_ = false;
    // Compaction may have taken the message away: then there is nothing to compare.
    if (offset > progress_.last_offset) return judge(offset);
    if (hash_of(chunk_.messages, next_message_) == progress_.last_hash) return Verdict::kOld;
    trouble(Trouble::kMadeAgain, "the message at offset " + std::to_string(offset) +
                                     " is not the one that was read: the topic was made again");
    return Verdict::kOther;
}

bool Partition::step_mark(const Chunk::Mark& mark) {
    switch (mark.error) {
        case RD_KAFKA_RESP_ERR__PARTITION_EOF:
            return step_eof(mark.offset);
        case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
            trouble(Trouble::kOutOfRange, mark.text);
            return false;
        default:
            last_error_ = mark.text;
            return true;
    }
}

bool Partition::step_eof(int64_t offset) {
    if (offset < ends_from_) return true;
    if (verify_ && offset <= progress_.last_offset) {
        trouble(Trouble::kMadeAgain, "the topic ends at offset " + std::to_string(offset) +
                                         ", before what was read: it was made again");
        return false;
    }
    // Control records and compaction leave offsets that no message has: the end lies behind them.
    const int64_t end = std::min(offset, limit_);
    progress_.next_offset = std::max(progress_.next_offset, end);
    at_end_ = eof_pending_ = true;
    last_end_ = offset;
    return true;
}

void Partition::trouble(Trouble what, std::string text) {
    trouble_ = what;
    trouble_text_ = std::move(text);
}

void Partition::set_limit(int64_t offset) {
    limit_ = offset;
}

int64_t Partition::queued() const {
    if (!tap_) return 0;
    const auto marks = static_cast<int64_t>(chunk_.marks.size() - next_mark_);
    return tap_->queued() + chunk_.messages.size() - next_message_ + marks;
}

bool Partition::take_eof() {
    return std::exchange(eof_pending_, false);
}

bool Partition::rests_at_end() const {
    return tap_ && at_end_ && queued() == 0;
}

Partition::Trouble Partition::take_trouble(std::string& text) {
    if (trouble_ != Trouble::kNone) text = std::move(trouble_text_);
    return std::exchange(trouble_, Trouble::kNone);
}

}  // namespace anomaly::kafka
