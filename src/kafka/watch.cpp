#include "kafka/watch.h"

#include <algorithm>
#include <utility>

#include "kafka/ending.h"

namespace anomaly::kafka {

Watch::Watch(Properties properties, const EventFd& fd)
    : properties_(std::move(properties)),
      fd_(fd),
      client_(make_consumer(properties_, log_, Gait::kWatching)),
      queue_(rd_kafka_queue_get_consumer(client_.get())),
      count_(client_.get(), fd) {
    fd.follow(queue_.get());
}

bool Watch::takes(const Properties& properties, const std::string& topic) const {
    return !broken_ && properties == properties_ &&
           std::none_of(topics_.begin(), topics_.end(),
                        [&](const Topic& known) { return known.name == topic; });
}

// As in Control::start_reading: the queues are our own before the client begins to fetch. One that
// was watched before may still hold what came then: with that in it, it would fire no more.
void Watch::add(uint32_t id, const std::string& name, const std::vector<Start>& at) {
    Topic topic{id, name, {}};
    const Owned<rd_kafka_topic_partition_list_t> list(
        rd_kafka_topic_partition_list_new(static_cast<int>(at.size())));
    for (const Start& start : at) {
        Owned<rd_kafka_queue_t> queue(
            rd_kafka_queue_get_partition(client_.get(), name.c_str(), start.partition));
        if (!queue) throw ClientError("no queue for a partition");
        rd_kafka_queue_forward(queue.get(), nullptr);
        fd_.follow(queue.get());
        rd_kafka_consume_callback_queue(
            queue.get(), 0, [](rd_kafka_message_t*, void*) {}, nullptr);
        rd_kafka_topic_partition_list_add(list.get(), name.c_str(), start.partition)->offset =
            start.next_offset;
        topic.ends.push_back({std::move(queue), start.partition, start.next_offset});
    }
    const Owned<rd_kafka_error_t> error(rd_kafka_incremental_assign(client_.get(), list.get()));
    if (error) throw ClientError(rd_kafka_error_string(error.get()));
    topics_.push_back(std::move(topic));
    count_.add(name, static_cast<int32_t>(at.size()));
}

bool Watch::remove(uint32_t id) {
    const auto found = std::find_if(topics_.begin(), topics_.end(),
                                    [id](const Topic& topic) { return topic.id == id; });
    if (found == topics_.end()) return false;
    const Owned<rd_kafka_topic_partition_list_t> list(
        rd_kafka_topic_partition_list_new(static_cast<int>(found->ends.size())));
    for (const End& end : found->ends)
        rd_kafka_topic_partition_list_add(list.get(), found->name.c_str(), end.partition);
    count_.remove(found->name);
    // An error means that it is not assigned, which is what is wanted. A client with an error ends
    // as it is: librdkafka 2.0 never ends once it was told to let a partition go that is no more.
    if (!broken_)
        const Owned<rd_kafka_error_t> error(
            rd_kafka_incremental_unassign(client_.get(), list.get()));
    topics_.erase(found);
    return true;
}

void Watch::look(rd_kafka_message_t* message, void* opaque) noexcept {
    End* end = static_cast<End*>(opaque);
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && message->offset == end->offset) {
        end->confirmed = true;
        return;
    }
    end->has_news = true;
    end->error = message->err;
    rd_kafka_yield(nullptr);  // which client's does not matter: this thread's call ends
}

// Why it is news, empty: it is none.
std::string Watch::look_at(Topic& topic) {
    for (End& end : topic.ends) {
        rd_kafka_consume_callback_queue(end.queue.get(), 0, look, &end);
        if (end.has_news) return end.error ? rd_kafka_err2str(end.error) : "a message";
    }
    return {};
}

// Any of the client's is everybody's.
std::string Watch::trouble() const {
    std::string text;
    while (const Owned<rd_kafka_event_t> event{rd_kafka_queue_poll(queue_.get(), 0)}) {
        if (rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_ERROR)
            text = rd_kafka_event_error_string(event.get());
    }
    return text;
}

void Watch::poll(std::vector<WatchNews>& out) {
    std::string of_all = trouble();
    for (Topic& topic : topics_) {
        if (topic.told_news) continue;
        std::string why = look_at(topic);
        if (why.empty() && count_.has_changed(topic.name)) why = "its partitions may be others";
        if (!why.empty()) {
            topic.told_news = true;
            out.push_back({topic.id, false, std::move(why)});
        } else if (!topic.told_end && std::all_of(topic.ends.begin(), topic.ends.end(),
                                                  [](const End& end) { return end.confirmed; })) {
            topic.told_end = true;
            out.push_back({topic.id, true, {}});
        }
        const auto failed = std::find_if(topic.ends.begin(), topic.ends.end(), has_failed);
        if (failed != topic.ends.end()) of_all = rd_kafka_err2str(failed->error);
    }
    if (!of_all.empty()) tell_all(of_all, out);
}

bool Watch::has_failed(const End& end) {
    return end.error != RD_KAFKA_RESP_ERR_NO_ERROR && end.error != RD_KAFKA_RESP_ERR__PARTITION_EOF;
}

void Watch::tell_all(const std::string& why, std::vector<WatchNews>& out) {
    broken_ = true;
    for (Topic& topic : topics_)
        if (!std::exchange(topic.told_news, true)) out.push_back({topic.id, false, why});
}

void Watches::add(uint32_t id, const std::string& topic, const Properties& properties,
                  const std::vector<Start>& at) {
    auto entry = std::find_if(watches_.begin(), watches_.end(), [&](const Entry& each) {
        return each.watch->takes(properties, topic);
    });
    if (entry == watches_.end())
        entry = watches_.insert(entry, {fd_, std::make_shared<Watch>(properties, *fd_)});
    try {
        entry->watch->add(id, topic, at);
    } catch (const std::exception&) {
        if (entry->watch->is_empty()) drop(entry);
        throw;
    }
}

void Watches::remove(uint32_t id) {
    for (auto entry = watches_.begin(); entry != watches_.end(); ++entry) {
        if (!entry->watch->remove(id)) continue;
        if (entry->watch->is_empty()) drop(entry);
        return;
    }
}

// All at once out of the list: nothing of it may be left there, whatever becomes of its end.
void Watches::drop(std::list<Entry>::iterator entry) {
    std::list<Entry> dropped;
    dropped.splice(dropped.end(), watches_, entry);
    end_elsewhere(std::make_shared<Entry>(std::move(dropped.front())));
}

// Cleared before it looks at anything: what comes after the look fires it anew.
void Watches::poll(std::vector<WatchNews>& out) {
    fd_->clear();
    for (const Entry& each : watches_) each.watch->poll(out);
}

}  // namespace anomaly::kafka
