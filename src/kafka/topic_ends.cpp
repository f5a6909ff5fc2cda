#include "kafka/topic_ends.h"

#include <algorithm>
#include <utility>

namespace anomaly::kafka {
namespace {

constexpr std::chrono::milliseconds kBackOff{100};

}  // namespace

TopicEnds::TopicEnds(std::string topic, const Properties& properties, int time_limit_ms)
    : topic_(std::move(topic)),
      deadline_(Clock::now() + std::chrono::milliseconds(time_limit_ms)),
      client_(make_consumer(properties, log_)) {
    const SignalBlock block;
    thread_ = std::thread(&TopicEnds::run, this);
}

TopicEnds::~TopicEnds() {
    {
        const std::scoped_lock lock(mutex_);
        stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

int TopicEnds::time_left_ms() const {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
    return static_cast<int>(std::clamp<int64_t>(left.count(), 0, kAskMs));
}

// A question that nobody answered is asked again, until the time is up.
void TopicEnds::run() {
    std::string error;
    try {
        while (!ask(error) && time_left_ms() > 0) {
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

// False: `error` says why there is no answer yet.
bool TopicEnds::ask(std::string& error) {
    const Partitions found = ask_partitions(client_.get(), topic_, time_left_ms());
    error = found.text;
    if (found.answer == Answer::kMissing) return true;
    if (found.answer != Answer::kGiven) return false;
    partitions_.clear();
    for (const int32_t partition : found.numbers) {
        {
            const std::scoped_lock lock(mutex_);
            if (stop_) return true;
        }
        const EndsAnswer ends = ask_ends(client_.get(), topic_, partition, time_left_ms());
        error = ends.text;
        if (ends.answer != Answer::kGiven) return false;
        partitions_.push_back({partition, ends.ends});
    }
    return true;
}

}  // namespace anomaly::kafka
