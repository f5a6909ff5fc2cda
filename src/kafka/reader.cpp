#include "kafka/reader.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "kafka/client.h"
#include "kafka/control.h"
#include "kafka/event_fd.h"
#include "kafka/intake.h"
#include "kafka/partition.h"
#include "kafka/trouble.h"

namespace anomaly::kafka {
namespace {

constexpr char kRefreshProperty[] = "topic.metadata.refresh.interval.ms";

// How often partitions that were added are looked for: as often as the client looks.
int refresh_ms(const Properties& properties) {
    int ms = 30000;
    for (const auto& [name, value] : properties)
        if (name == kRefreshProperty)
            std::from_chars(value.data(), value.data() + value.size(), ms);
    return std::max(ms, 100);
}

int64_t number_in_force(rd_kafka_t* client, const char* property) {
    char text[32] = {};
    size_t size = sizeof text;
    int64_t value = INT64_MAX;
    if (rd_kafka_conf_get(rd_kafka_conf(client), property, text, &size) == RD_KAFKA_CONF_OK)
        std::from_chars(text, text + sizeof text, value);
    return value;
}

QueueLimits queue_limits(rd_kafka_t* client) {
    return {number_in_force(client, "queued.min.messages"),
            number_in_force(client, "queued.max.messages.kbytes") * 1024};
}

}  // namespace

// Declared in the order that matters at the end: our threads stop first, then the partitions let
// their queues go, then the client ends and with it all that writes to the fds.
struct Reader::Impl {
    Impl(std::string topic_name, const Properties& properties, bool wants_headers)
        : topic(std::move(topic_name)),
          with_headers(wants_headers),
          client(make_consumer(properties, log)),
          queue(rd_kafka_queue_get_consumer(client.get())),
          full(queue_limits(client.get())),
          control(client.get(), topic, fd, fetched, refresh_ms(properties)),
          intake(fetched, control) {
        rd_kafka_queue_io_event_enable(queue.get(), fd.get(), &EventFd::kOne, sizeof EventFd::kOne);
    }

    void take_replies();
    void take_reply(Reply& reply);
    void take_started(Reply& reply);
    void take_client_events();
    void take_troubles();
    void broker_down(std::string text);
    void restart(Partition& partition, std::string remade);
    void restart_all();
    Partition* find(int32_t partition);
    const Partition* find(int32_t partition) const;

    const std::string topic;
    const bool with_headers;
    EventFd fd;
    EventFd fetched;  // fired by the client, for the intake
    LogRing log;
    Owned<rd_kafka_t> client;
    Owned<rd_kafka_queue_t> queue;  // what is no partition's own
    const QueueLimits full;
    std::map<int32_t, Partition> partitions;
    std::map<int32_t, int64_t> limits;  // also of partitions that are not there yet
    std::vector<Event> pending;
    Trouble trouble;
    bool down_told = false;
    ReaderStats totals;
    Control control;
    Intake intake;
};

Partition* Reader::Impl::find(int32_t partition) {
    const auto found = partitions.find(partition);
    return found == partitions.end() ? nullptr : &found->second;
}

const Partition* Reader::Impl::find(int32_t partition) const {
    const auto found = partitions.find(partition);
    return found == partitions.end() ? nullptr : &found->second;
}

// While no broker answers, the topic may be deleted and made again: what comes afterwards is
// trusted only when the last message read is still the same.
void Reader::Impl::broker_down(std::string text) {
    for (auto& [number, partition] : partitions) partition.stop();
    if (std::exchange(down_told, true)) return;
    pending.push_back({.kind = EventKind::kBrokerDown, .text = std::move(text)});
}

void Reader::Impl::restart(Partition& partition, std::string remade) {
    const int64_t request = partition.request_restart();
    control.restart(partition.progress(), std::move(remade), request);
}

void Reader::Impl::restart_all() {
    for (auto& [number, partition] : partitions) restart(partition, {});
}

void Reader::Impl::take_replies() {
    std::vector<Reply> replies;
    control.take(replies);
    for (Reply& reply : replies) take_reply(reply);
}

void Reader::Impl::take_reply(Reply& reply) {
    switch (reply.kind) {
        case ReplyKind::kDown:
            broker_down(trouble.text().empty() ? std::move(reply.text) : trouble.text());
            break;
        case ReplyKind::kUp:
            down_told = false;
            trouble.clear();
            pending.push_back({.kind = EventKind::kBrokerUp});
            restart_all();
            break;
        case ReplyKind::kMissing:
            for (auto& [number, partition] : partitions) partition.stop();
            pending.push_back({.kind = EventKind::kTopicMissing, .text = std::move(reply.text)});
            break;
        case ReplyKind::kFound:
            pending.push_back({.kind = EventKind::kTopicFound});
            restart_all();
            break;
        case ReplyKind::kStarted:
            take_started(reply);
            break;
    }
}

void Reader::Impl::take_started(Reply& reply) {
    const int32_t number = reply.begin.partition;
    const auto [at, inserted] = partitions.try_emplace(number, reply.begin);
    if (!at->second.is_awaited(reply.request)) return;
    if (inserted) {
        const auto limit = limits.find(number);
        if (limit != limits.end()) at->second.set_limit(limit->second);
        const auto kind = reply.is_new ? EventKind::kPartitionAdded : EventKind::kAssigned;
        const int64_t first = reply.lost ? reply.lost_from : reply.begin.next_offset;
        pending.push_back({.kind = kind, .partition = number, .offset = first});
    }
    if (reply.lost)
        pending.push_back({.kind = EventKind::kLostRange,
                           .partition = number,
                           .offset = reply.lost_from,
                           .to_offset = reply.lost_to,
                           .resume_offset = reply.begin.next_offset,
                           .text = std::move(reply.text)});
    auto tap =
        std::make_shared<Tap>(number, std::move(reply.queue), full, with_headers, fd, fetched);
    at->second.start(reply.begin, reply.verify, tap);
    intake.add(std::move(tap));
}

void Reader::Impl::take_client_events() {
    while (true) {
        const Owned<rd_kafka_event_t> event(rd_kafka_queue_poll(queue.get(), 0));
        if (!event) break;
        if (rd_kafka_event_type(event.get()) != RD_KAFKA_EVENT_ERROR) continue;
        const bool all_down =
            rd_kafka_event_error(event.get()) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
        if (!trouble.take(event.get())) {
            log.add(4, rd_kafka_event_error_string(event.get()));
            continue;
        }
        if (all_down) broker_down(trouble.text());
        // One broker of several, perhaps: whether any answers is for the probe to say.
        control.probe(all_down);
    }
}

void Reader::Impl::take_troubles() {
    bool made_again = false;
    for (auto& [number, partition] : partitions) {
        std::string text;
        switch (partition.take_trouble(text)) {
            case Partition::Trouble::kNone:
                break;
            case Partition::Trouble::kOutOfRange:
                restart(partition, {});
                break;
            case Partition::Trouble::kMadeAgain:
                made_again = true;
                restart(partition, std::move(text));
                break;
        }
    }
    if (!made_again) return;
    // Then the other partitions are others too: each is checked.
    for (auto& [number, partition] : partitions) {
        if (partition.is_reading()) restart(partition, {});
    }
}

Reader::Reader(std::string topic, const Properties& properties, bool with_headers)
    : impl_(std::make_unique<Impl>(std::move(topic), properties, with_headers)) {}

Reader::~Reader() = default;

int Reader::fd() const {
    return impl_->fd.get();
}

void Reader::assign(std::vector<Start> starts, int64_t otherwise) {
    impl_->control.discover(std::move(starts), otherwise);
}

void Reader::events(std::vector<Event>& out) {
    impl_->fd.clear();
    impl_->take_replies();
    impl_->take_client_events();
    impl_->take_troubles();
    std::move(impl_->pending.begin(), impl_->pending.end(), std::back_inserter(out));
    impl_->pending.clear();
    for (auto& [number, partition] : impl_->partitions) {
        if (!partition.take_eof()) continue;
        out.push_back({.kind = EventKind::kEof,
                       .partition = number,
                       .offset = partition.progress().next_offset});
    }
}

int32_t Reader::pull(int32_t partition, MessageBatch& batch, int32_t max_rows, int64_t max_bytes) {
    Partition* found = impl_->find(partition);
    if (found == nullptr) return 0;
    const size_t before = batch.bytes();
    const int32_t count = found->pull(batch, max_rows, max_bytes);
    if (found->has_news()) impl_->fd.fire();
    impl_->totals.message_count += count;
    impl_->totals.byte_count += static_cast<int64_t>(batch.bytes() - before);
    return count;
}

// What waits behind a limit fired the fd when it came, and will not fire it again.
void Reader::set_limit(int32_t partition, int64_t offset) {
    const auto [limit, is_new] = impl_->limits.try_emplace(partition, offset);
    if (!is_new && offset > limit->second) impl_->fd.fire();
    limit->second = offset;
    if (Partition* found = impl_->find(partition)) found->set_limit(offset);
}

void Reader::clear_limits() {
    impl_->limits.clear();
    for (auto& [number, partition] : impl_->partitions) partition.set_limit(kNoLimit);
    impl_->fd.fire();
}

int64_t Reader::position(int32_t partition) const {
    return progress(partition).next_offset;
}

Start Reader::progress(int32_t partition) const {
    const Partition* found = impl_->find(partition);
    if (found != nullptr) return found->progress();
    Start none;
    none.partition = partition;
    return none;
}

void Reader::request_eof(int32_t partition) {
    const Partition* found = impl_->find(partition);
    if (found == nullptr || !found->rests_at_end()) return;
    // A seek outdates at once what was fetched before it, and fetches anew from this position.
    const Owned<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(list.get(), impl_->topic.c_str(), partition)->offset =
        found->progress().next_offset;
    const Owned<rd_kafka_error_t> error(
        rd_kafka_seek_partitions(impl_->client.get(), list.get(), 0));
}

void Reader::mirror(const std::vector<Start>& positions) const {
    const Owned<rd_kafka_topic_partition_list_t> list(
        rd_kafka_topic_partition_list_new(static_cast<int>(positions.size())));
    for (const Start& at : positions) {
        if (at.next_offset < 0) continue;
        rd_kafka_topic_partition_list_add(list.get(), impl_->topic.c_str(), at.partition)->offset =
            at.next_offset;
    }
    if (list->cnt > 0) rd_kafka_commit(impl_->client.get(), list.get(), 1);
}

int64_t Reader::queued(int32_t partition) const {
    const Partition* found = impl_->find(partition);
    return found == nullptr ? 0 : found->queued();
}

ReaderStats Reader::stats() const {
    ReaderStats out = impl_->totals;
    int64_t waiting = 0;
    bool known = !impl_->partitions.empty();
    out.lag = 0;
    for (const auto& [number, partition] : impl_->partitions) {
        waiting += partition.queued();
        int64_t low = 0;
        int64_t high = -1;
        rd_kafka_get_watermark_offsets(impl_->client.get(), impl_->topic.c_str(), number, &low,
                                       &high);
        if (high < 0) known = false;
        out.lag += std::max<int64_t>(0, high - partition.progress().next_offset);
    }
    if (!known) out.lag = -1;
    constexpr int64_t kOverheadBytes = 200;  // of the client, for each message that waits
    const int64_t mean_bytes =
        out.message_count > 0 ? out.byte_count / out.message_count : kOverheadBytes;
    out.memory_bytes = waiting * (mean_bytes + kOverheadBytes);
    return out;
}

bool Reader::next_log(std::string& line, int& level) {
    return impl_->log.next(line, level);
}

}  // namespace anomaly::kafka
