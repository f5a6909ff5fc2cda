#include "kafka/topic_ends.h"

#include <algorithm>
#include <utility>

namespace anomaly::kafka {
namespace {

constexpr std::chrono::milliseconds kBackOff{100};

}  // namespace

TopicEnds::TopicEnds(std::string topic, const Properties& properties, int64_t from_ms,
                     int time_limit_ms)
    : topic_(std::move(topic)),
      from_ms_(from_ms),
      deadline_(Clock::now() + std::chrono::milliseconds(time_limit_ms)),
      client_(make_consumer(properties, log_)),
      queue_(rd_kafka_queue_get_consumer(client_.get())) {
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
bool TopicEnds::is_refused(std::string& error) {
    while (true) {
        const Owned<rd_kafka_event_t> event(rd_kafka_queue_poll(queue_.get(), 0));
        if (!event) break;
        trouble_.take(event.get());
    }
    if (!trouble_.text().empty()) error = trouble_.text();
    return trouble_.is_refused();
}

bool TopicEnds::stopping() {
    const std::scoped_lock lock(mutex_);
    return stop_;
}

// False: `error` says why there is no answer yet.
bool TopicEnds::ask(std::string& error) {
    const Partitions found = ask_partitions(client_.get(), topic_, time_left_ms());
    error = found.text;
    missing_ = found.answer == Answer::kMissing;
    if (missing_) return true;
    if (found.answer != Answer::kGiven) return false;
    return ask_ends_of(found.numbers, error) && ask_time(found.numbers, error);
}

bool TopicEnds::ask_ends_of(const std::vector<int32_t>& partitions, std::string& error) {
    partitions_.clear();
    for (const int32_t partition : partitions) {
        if (stopping()) return true;
        const EndsAnswer ends = ask_ends(client_.get(), topic_, partition, time_left_ms());
        error = ends.text;
        if (ends.answer != Answer::kGiven) return false;
        partitions_.push_back({partition, ends.ends, ends.ends.low});
    }
    return true;
}

bool TopicEnds::ask_time(const std::vector<int32_t>& partitions, std::string& error) {
    if (from_ms_ == kNoTimeAsked || stopping()) return true;
    // Times before 1970 would be taken for Kafka's words for the beginning and the end.
    const TimesAnswer times = ask_times(client_.get(), topic_, partitions,
                                        std::max<int64_t>(from_ms_, 0), time_left_ms());
    error = times.text;
    if (times.answer != Answer::kGiven) return false;
    for (size_t i = 0; i < partitions_.size(); i++) {
        const Ends& ends = partitions_[i].ends;
        const int64_t offset = times.offsets[i] < 0 ? ends.high : times.offsets[i];
        partitions_[i].from = std::clamp(offset, ends.low, std::max(ends.low, ends.high));
    }
    return true;
}

}  // namespace anomaly::kafka
