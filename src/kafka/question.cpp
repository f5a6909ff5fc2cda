#include "kafka/question.h"

#include <algorithm>
#include <utility>

namespace anomaly::kafka {
namespace {

constexpr std::chrono::milliseconds kBackOff{100};

}  // namespace

Question::Question(const Properties& properties, int time_limit_ms)
    : deadline_(Clock::now() + std::chrono::milliseconds(time_limit_ms)),
      client_(make_consumer(properties, log_)),
      queue_(rd_kafka_queue_get_consumer(client_.get())) {}

void Question::start() {
    const SignalBlock block;
    thread_ = std::thread(&Question::run, this);
}

void Question::stop() {
    {
        const std::scoped_lock lock(mutex_);
        stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

bool Question::stopping() {
    const std::scoped_lock lock(mutex_);
    return stop_;
}

int Question::time_left_ms() const {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
    return static_cast<int>(std::clamp<int64_t>(left.count(), 0, kAskMs));
}

void Question::run() {
    std::string error;
    try {
        while (!ask(error) && !is_refused(error) && time_left_ms() > 0) {
            std::unique_lock lock(mutex_);
            if (wake_.wait_for(lock, kBackOff, [this] { return stop_; })) return;
        }
    } catch (const std::exception& thrown) {
        error = thrown.what();
    }
    error_ = std::move(error);
    done_ = true;
    fd_.fire();
}

// Puts the client's reason, if it has one, in the place of "timed out".
bool Question::is_refused(std::string& error) {
    while (true) {
        const Owned<rd_kafka_event_t> event(rd_kafka_queue_poll(queue_.get(), 0));
        if (!event) break;
        trouble_.take(event.get());
    }
    if (!trouble_.text().empty()) error = trouble_.text();
    return trouble_.is_refused();
}

}  // namespace anomaly::kafka
