#include "kafka/partition.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/data/message_hash.h"
#include "kafka/headers.h"

namespace anomaly::kafka {
namespace {

constexpr size_t kChunk = 512;  // messages popped at a time

int64_t timestamp_of(const rd_kafka_message_t& message) {
    return rd_kafka_message_timestamp(&message, nullptr);
}

int32_t size_of(const void* data, size_t size) {
    return data == nullptr ? -1 : static_cast<int32_t>(size);
}

uint64_t hash_of(const rd_kafka_message_t& m) {
    return message_hash(timestamp_of(m), m.key, size_of(m.key, m.key_len), m.payload,
                        size_of(m.payload, m.len));
}

}  // namespace

void Partition::start(const Start& begin, bool verify, Owned<rd_kafka_queue_t> queue) {
    stop();
    progress_ = begin;
    verify_ = verify;
    queue_ = std::move(queue);
}

void Partition::stop() {
    popped_.clear();
    queue_.reset();
    verify_ = at_end_ = eof_pending_ = false;
    trouble_ = Trouble::kNone;
}

int64_t Partition::request_restart() {
    stop();
    return ++request_;
}

bool Partition::fill() {
    std::array<rd_kafka_message_t*, kChunk> chunk;
    const ssize_t count = rd_kafka_consume_batch_queue(queue_.get(), 0, chunk.data(), kChunk);
    for (ssize_t i = 0; i < count; i++) popped_.emplace_back(chunk[static_cast<size_t>(i)]);
    return count > 0;
}

int32_t Partition::pull(MessageBatch& batch, int32_t max_rows, int64_t max_bytes) {
    const int32_t before = batch.size();
    const size_t bytes_before = batch.bytes();
    const int64_t waiting = queued();
    Owned<rd_kafka_message_t> last;
    while (queue_ && batch.size() < max_rows && static_cast<int64_t>(batch.bytes()) < max_bytes) {
        if (popped_.empty() && !fill()) break;
        const Step outcome = step(*popped_.front(), batch);
        if (outcome == Step::kWait) break;
        if (outcome == Step::kTaken) last = std::move(popped_.front());
        popped_.pop_front();
    }
    if (last) remember(*last);
    if (trouble_ != Trouble::kNone) {
        popped_.clear();
        queue_.reset();
    }
    const int32_t taken = batch.size() - before;
    const auto taken_bytes = static_cast<int64_t>(batch.bytes() - bytes_before);
    const bool was_full = waiting >= full_.messages || taken_bytes >= full_.bytes / 2;
    stalled_ = taken > 0 && (was_full || waiting <= left_);
    left_ = queued();
    return taken;
}

Partition::Step Partition::step(const rd_kafka_message_t& message, MessageBatch& batch) {
    if (message.err) return step_error(message);
    if (verify_) {
        const Step outcome = step_verify(message);
        if (outcome != Step::kTaken) return outcome;
    }
    if (message.offset < progress_.next_offset) return Step::kSkipped;  // was handed out before
    if (message.offset >= limit_) {
        progress_.next_offset = std::max(progress_.next_offset, limit_);
        return Step::kWait;
    }
    batch.add(progress_.partition, message.offset, timestamp_of(message), message.payload,
              size_of(message.payload, message.len), message.key,
              size_of(message.key, message.key_len));
    if (batch.wants_headers()) batch.set_headers(headers_as_json(message));
    progress_.next_offset = message.offset + 1;
    at_end_ = eof_pending_ = false;
    return Step::kTaken;
}

// kTaken: the message is to be handed out.
Partition::Step Partition::step_verify(const rd_kafka_message_t& message) {
    if (message.offset < progress_.last_offset) return Step::kSkipped;
    verify_ = false;
    // Compaction may have taken the message away: then there is nothing to compare.
    if (message.offset > progress_.last_offset) return Step::kTaken;
    if (hash_of(message) == progress_.last_hash) return Step::kSkipped;
    trouble(Trouble::kMadeAgain, "the message at offset " + std::to_string(message.offset) +
                                     " is not the one that was read: the topic was made again");
    return Step::kWait;
}

Partition::Step Partition::step_error(const rd_kafka_message_t& message) {
    switch (message.err) {
        case RD_KAFKA_RESP_ERR__PARTITION_EOF:
            return step_eof(message.offset);
        case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
            trouble(Trouble::kOutOfRange, rd_kafka_message_errstr(&message));
            return Step::kWait;
        default:
            last_error_ = rd_kafka_message_errstr(&message);
            return Step::kSkipped;
    }
}

Partition::Step Partition::step_eof(int64_t offset) {
    if (verify_ && offset <= progress_.last_offset) {
        trouble(Trouble::kMadeAgain, "the topic ends at offset " + std::to_string(offset) +
                                         ", before what was read: it was made again");
        return Step::kWait;
    }
    // Control records and compaction leave offsets that no message has: the end lies behind them.
    const int64_t end = std::min(offset, limit_);
    progress_.next_offset = std::max(progress_.next_offset, end);
    at_end_ = eof_pending_ = true;
    return Step::kSkipped;
}

void Partition::trouble(Trouble what, std::string text) {
    trouble_ = what;
    trouble_text_ = std::move(text);
}

void Partition::remember(const rd_kafka_message_t& message) {
    progress_.last_offset = message.offset;
    progress_.last_hash = hash_of(message);
}

void Partition::set_limit(int64_t offset) {
    limit_ = offset;
}

int64_t Partition::queued() const {
    const size_t waiting = queue_ ? rd_kafka_queue_length(queue_.get()) : 0;
    return static_cast<int64_t>(waiting + popped_.size());
}

bool Partition::take_eof() {
    return std::exchange(eof_pending_, false);
}

bool Partition::rests_at_end() const {
    return queue_ && at_end_ && queued() == 0;
}

Partition::Trouble Partition::take_trouble(std::string& text) {
    if (trouble_ != Trouble::kNone) text = std::move(trouble_text_);
    return std::exchange(trouble_, Trouble::kNone);
}

}  // namespace anomaly::kafka
