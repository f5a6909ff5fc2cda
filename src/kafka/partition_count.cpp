#include "kafka/partition_count.h"

#include <algorithm>
#include <utility>

#include "kafka/ask.h"

namespace anomaly::kafka {

PartitionCount::PartitionCount(rd_kafka_t* client, const EventFd& fd)
    : client_(client),
      fd_(fd),
      refresh_(refresh_ms(rd_kafka_conf(client))),
      fetch_wait_ms_(number_in_force(rd_kafka_conf(client), "fetch.wait.max.ms")) {
    const SignalBlock block;
    thread_ = std::thread(&PartitionCount::run, this);
}

PartitionCount::~PartitionCount() {
    {
        const std::scoped_lock lock(mutex_);
        stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void PartitionCount::add(const std::string& topic, int32_t count) {
    {
        const std::scoped_lock lock(mutex_);
        topics_[topic] = {count, false};
        added_ = true;
    }
    wake_.notify_one();
}

void PartitionCount::remove(const std::string& topic) {
    const std::scoped_lock lock(mutex_);
    topics_.erase(topic);
}

bool PartitionCount::has_changed(const std::string& topic) {
    const std::scoped_lock lock(mutex_);
    const auto found = topics_.find(topic);
    return found != topics_.end() && found->second.changed;
}

bool PartitionCount::stopping() {
    const std::scoped_lock lock(mutex_);
    return stop_;
}

void PartitionCount::run() {
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            wake_.wait_for(lock, refresh_, [this] { return stop_ || added_; });
            if (stop_) return;
            added_ = false;
            if (topics_.empty()) continue;
        }
        const auto answer = ask();
        if (stopping()) return;
        compare(answer.get());
    }
}

// A broker may answer it only when a fetch has waited there for as long as it may. In steps, since
// the thread may have to end.
Owned<const rd_kafka_metadata_t> PartitionCount::ask() {
    const rd_kafka_metadata_t* answer = nullptr;
    for (int64_t left_ms = fetch_wait_ms_ + kAskMs; left_ms > 0; left_ms -= kAskMs) {
        const auto error = rd_kafka_metadata(client_, 0, nullptr, &answer, kAskMs);
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR || stopping()) break;
        answer = nullptr;
    }
    return Owned<const rd_kafka_metadata_t>(answer);
}

// A topic that was added since the question was asked has asked for another one.
void PartitionCount::compare(const rd_kafka_metadata_t* answer) {
    {
        const std::scoped_lock lock(mutex_);
        if (added_) return;
        bool any = false;
        for (auto& [name, topic] : topics_) {
            const auto is_it = [&](const rd_kafka_metadata_topic_t& each) {
                return name == each.topic && each.err == RD_KAFKA_RESP_ERR_NO_ERROR &&
                       each.partition_cnt == topic.count;
            };
            const bool same =
                answer != nullptr &&
                std::any_of(answer->topics, answer->topics + answer->topic_cnt, is_it);
            topic.changed = topic.changed || !same;
            any = any || topic.changed;
        }
        if (!any) return;
    }
    fd_.fire();
}

}  // namespace anomaly::kafka
