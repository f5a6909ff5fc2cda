#include "kafka/intake.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "kafka/control.h"
#include "kafka/headers.h"

namespace anomaly::kafka {
namespace {

// Two chunks a partition, one that is filled and one that is read: what waits beyond them waits in
// the client, which stops to fetch when it is too much.
constexpr int32_t kChunkMessages = 8192;
constexpr size_t kChunkBytes = size_t{1} << 20;
// How many are copied while the reader may have to wait for them.
constexpr int32_t kStepMessages = 512;

int64_t timestamp_of(const rd_kafka_message_t& message) {
    return rd_kafka_message_timestamp(&message, nullptr);
}

int32_t size_of(const void* data, size_t size) {
    return data == nullptr ? -1 : static_cast<int32_t>(size);
}

}  // namespace

// ---- a chunk ----

bool Chunk::is_full() const {
    return messages.size() >= kChunkMessages || messages.bytes() >= kChunkBytes;
}

bool Chunk::is_oversized(const MessageBatch& messages) {
    return messages.bytes_reserved() > 4 * kChunkBytes;
}

void Chunk::clear() {
    if (is_oversized(messages)) messages = MessageBatch();
    messages.clear();
    marks.clear();
}

// ---- a tap ----

Tap::Tap(int32_t partition, Owned<rd_kafka_queue_t> queue, const QueueLimits& limits,
         bool with_headers, const EventFd& taken, const EventFd& fetched)
    : partition_(partition),
      limits_(limits),
      with_headers_(with_headers),
      taken_(taken),
      fetched_(fetched),
      queue_(std::move(queue)) {}

bool Tap::take(Chunk& chunk) {
    chunk.clear();
    const std::scoped_lock lock(mutex_);
    if (failure_) std::rethrow_exception(failure_);
    std::swap(chunk, chunk_);
    if (std::exchange(waits_for_room_, false)) fetched_.fire();
    return !chunk.is_empty();
}

bool Tap::has_news() {
    const std::scoped_lock lock(mutex_);
    return failure_ || !chunk_.is_empty();
}

void Tap::close() {
    const std::scoped_lock lock(mutex_);
    queue_.reset();
}

bool Tap::is_closed() {
    const std::scoped_lock lock(mutex_);
    return queue_ == nullptr;
}

int64_t Tap::queued() {
    const std::scoped_lock lock(mutex_);
    return waiting() + static_cast<int64_t>(chunk_.marks.size()) + chunk_.messages.size();
}

// Whether the client, which saw `most` waiting at a time, may have found that too much, and now it
// no longer is. It counts bytes for itself, so that all of them are taken for as large as one was.
bool Tap::may_have_stopped(int64_t most, int64_t left) const {
    if (most >= limits_.messages && left < limits_.messages) return true;
    return most >= limits_.bytes / std::max<int64_t>(largest_bytes_, 1);
}

int64_t Tap::waiting() const {
    return queue_ ? static_cast<int64_t>(rd_kafka_queue_length(queue_.get())) : 0;
}

// The client calls back for one message after another, each gone when it returns, and puts back
// what is left when it is told to stop: its queue is locked once for all of them.
bool Tap::drain(bool* stalled) {
    const std::scoped_lock lock(mutex_);
    const int64_t before = waiting();
    if (before == 0) return false;
    waits_for_room_ = chunk_.is_full();
    if (waits_for_room_) return false;
    const bool was_empty = chunk_.is_empty();
    left_in_step_ = kStepMessages;
    rd_kafka_consume_callback_queue(queue_.get(), 0, copy, this);
    if (failure_) queue_.reset();
    if (was_empty && (failure_ || !chunk_.is_empty())) taken_.fire();
    const int64_t after = waiting();
    *stalled = may_have_stopped(std::max(before, after + kStepMessages - left_in_step_), after);
    return queue_ != nullptr;
}

void Tap::copy(rd_kafka_message_t* message, void* opaque) noexcept {
    auto* tap = static_cast<Tap*>(opaque);
    try {
        tap->add(*message);
        if (--tap->left_in_step_ > 0 && !tap->chunk_.is_full()) return;
    } catch (const std::exception&) {
        tap->failure_ = std::current_exception();
    }
    rd_kafka_yield(nullptr);  // which client's does not matter: this thread's call ends
}

void Tap::add(const rd_kafka_message_t& message) {
    MessageBatch& to = chunk_.messages;
    if (message.err) {
        chunk_.marks.push_back(
            {to.size(), message.err, message.offset, rd_kafka_message_errstr(&message)});
        return;
    }
    to.add(partition_, message.offset, timestamp_of(message), message.payload,
           size_of(message.payload, message.len), message.key,
           size_of(message.key, message.key_len));
    if (with_headers_) to.set_headers(headers_as_json(message));
    largest_bytes_ = std::max(largest_bytes_, static_cast<int64_t>(message.len + message.key_len));
}

// ---- the thread ----

Intake::Intake(const EventFd& fetched, Control& control) : fetched_(fetched), control_(control) {
    const SignalBlock block;
    thread_ = std::thread(&Intake::run, this);
}

Intake::~Intake() {
    {
        const std::scoped_lock lock(mutex_);
        stop_ = true;
    }
    fetched_.fire();
    thread_.join();
}

void Intake::add(std::shared_ptr<Tap> tap) {
    std::list<std::shared_ptr<Tap>> one;
    one.push_back(std::move(tap));
    {
        const std::scoped_lock lock(mutex_);
        added_.splice(added_.end(), one);
    }
    fetched_.fire();
}

bool Intake::take_added() {
    const std::scoped_lock lock(mutex_);
    taps_.splice(taps_.end(), added_);
    return !stop_;
}

void Intake::run() {
    pthread_setname_np(pthread_self(), "anomaly intake");  // for top and perf
    for (;;) {
        // Before it looks at anything: what comes after the look fires the fd anew.
        fetched_.clear();
        if (!take_added()) return;
        drain_all();
        fetched_.wait();
    }
}

// Partitions by turns, or the last would wait until the first has filled its chunk.
void Intake::drain_all() {
    taps_.remove_if([](const std::shared_ptr<Tap>& tap) { return tap->is_closed(); });
    for (bool any = true; any;) {
        any = false;
        for (const std::shared_ptr<Tap>& tap : taps_) {
            bool stalled = false;
            any = tap->drain(&stalled) || any;
            if (stalled) control_.nudge(tap->partition());
        }
    }
}

}  // namespace anomaly::kafka
