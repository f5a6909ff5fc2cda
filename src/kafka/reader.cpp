#include "kafka/reader.h"

#include <algorithm>
#include <map>
#include <utility>

#include "kafka/ending.h"
#include "kafka/event_fd.h"
#include "kafka/link.h"
#include "kafka/mirror.h"
#include "kafka/partition.h"
#include "kafka/trouble.h"

namespace anomaly::kafka {

struct Reader::Impl {
    Impl(std::string topic_name, const Properties& reader_properties, bool wants_headers)
        : topic(std::move(topic_name)),
          properties(reader_properties),
          with_headers(wants_headers),
          mirror(topic),
          hasty(has_own_wait(properties) ? Gait::kQuick : Gait::kHasty),
          link(make_link(hasty)) {}
    // The partitions let their queues go before the link ends that they are from.
    ~Impl() {
        partitions.clear();
        end_elsewhere(std::move(next));
        end_elsewhere(std::move(link));
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    std::unique_ptr<Link> make_link(Gait gait) {
        return std::make_unique<Link>(topic, properties, gait, outlet);
    }
    void set_gait(Gait gait);
    void rest();
    void wake();
    void prepare_change();
    bool is_prepared() const;
    void change_link();
    void take_over(Link::Waiting& waiting);
    void take_replies();
    void take_reply(Reply& reply);
    void take_started(Reply& reply);
    std::shared_ptr<Tap> make_tap(Link& from, Reply& reply) const;
    void start(Partition& partition, bool is_found, Reply& reply, std::shared_ptr<Tap> tap);
    void take_client_events();
    void take_error(rd_kafka_event_t* event);
    void send_mirror();
    void take_troubles();
    void broker_down(std::string text);
    void restart(Partition& partition, std::string remade);
    void restart_all();
    Partition* find(int32_t partition);
    const Partition* find(int32_t partition) const;

    const std::string topic;
    const Properties properties;
    const bool with_headers;
    Mirror mirror;
    const Gait hasty;  // the one to read in when haste is asked for
    const std::shared_ptr<Outlet> outlet = std::make_shared<Outlet>();
    std::unique_ptr<Link> link;  // none while it rests
    std::unique_ptr<Link> next;  // takes over once something has come for each partition
    std::map<int32_t, Partition> partitions;
    int64_t otherwise = kBeginning;     // where partitions begin that a next link finds
    std::map<int32_t, int64_t> limits;  // also of partitions that are not there yet
    std::vector<Event> pending;
    Trouble trouble;
    bool down_told = false;
    bool wakes = false;  // the link's first answers say where partitions go on that are known
    ReaderStats totals;
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
    link->control.restart(partition.progress(), std::move(remade), request);
}

void Reader::Impl::restart_all() {
    for (auto& [number, partition] : partitions) restart(partition, {});
}

void Reader::Impl::take_replies() {
    std::vector<Reply> replies;
    link->control.take(replies);
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
            if (!std::exchange(wakes, false)) restart_all();
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
    start(at->second, inserted, reply, make_tap(*link, reply));
}

std::shared_ptr<Tap> Reader::Impl::make_tap(Link& from, Reply& reply) const {
    auto tap = std::make_shared<Tap>(reply.begin.partition, std::move(reply.queue), from.full,
                                     with_headers, outlet->fd, from.fetched);
    from.intake.add(tap);
    return tap;
}

void Reader::Impl::start(Partition& partition, bool is_found, Reply& reply,
                         std::shared_ptr<Tap> tap) {
    const int32_t number = reply.begin.partition;
    if (is_found) {
        const auto limit = limits.find(number);
        if (limit != limits.end()) partition.set_limit(limit->second);
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
    partition.start(reply.begin, reply.verify, std::move(tap));
}

void Reader::Impl::take_client_events() {
    while (const Owned<rd_kafka_event_t> event = link->next_event()) {
        switch (rd_kafka_event_type(event.get())) {
            case RD_KAFKA_EVENT_ERROR:
                take_error(event.get());
                break;
            case RD_KAFKA_EVENT_OFFSET_COMMIT:
                mirror.take_answer();
                send_mirror();
                break;
            default:
                break;
        }
    }
}

void Reader::Impl::take_error(rd_kafka_event_t* event) {
    const bool all_down = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
    if (!trouble.take(event)) return outlet->log.add(4, rd_kafka_event_error_string(event));
    if (all_down) broker_down(trouble.text());
    // One broker of several, perhaps: whether any answers is for the probe to say.
    link->control.probe(all_down);
}

void Reader::Impl::send_mirror() {
    if (link) mirror.send(link->client.get(), link->queue.get());
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

// ---- another gait ----

void Reader::Impl::set_gait(Gait gait) {
    if (!link) return;
    if (gait == Gait::kHasty) gait = hasty;
    if (next && next->gait != gait) end_elsewhere(std::move(next));
    if (gait != link->gait && !next && !partitions.empty()) {
        next = make_link(gait);
        std::vector<Start> starts;
        for (const auto& [number, partition] : partitions) starts.push_back(partition.progress());
        next->control.discover(std::move(starts), otherwise);
    }
}

void Reader::Impl::rest() {
    for (auto& [number, partition] : partitions) partition.rest();
    mirror.lose_client();
    end_elsewhere(std::move(next));
    end_elsewhere(std::move(link));
    down_told = false;
    trouble.clear();
}

void Reader::Impl::wake() {
    if (link) return;
    link = make_link(Gait::kQuick);
    send_mirror();
    wakes = true;
    std::vector<Start> starts;
    for (const auto& [number, partition] : partitions) starts.push_back(partition.progress());
    link->control.discover(std::move(starts), otherwise);
}

// It goes unnoticed how the next link gets to its broker: the present one says how that is.
void Reader::Impl::prepare_change() {
    if (!next) return;
    std::vector<Reply> replies;
    next->control.take(replies);
    for (Reply& reply : replies) {
        if (reply.kind == ReplyKind::kUp) next->drop_events();
        if (reply.kind == ReplyKind::kStarted) {
            std::shared_ptr<Tap> tap = make_tap(*next, reply);
            next->waiting.push_back({std::move(reply), std::move(tap)});
        }
    }
    if (is_prepared()) change_link();
}

// Something has come for each partition, a message or the end: until then what comes may have to
// wait for a first fetch, which not every partition is in.
bool Reader::Impl::is_prepared() const {
    return std::all_of(partitions.begin(), partitions.end(), [&](const auto& known) {
        return std::any_of(next->waiting.begin(), next->waiting.end(), [&](const auto& waiting) {
            return waiting.started.begin.partition == known.first && waiting.tap->has_news();
        });
    });
}

void Reader::Impl::change_link() {
    std::unique_ptr<Link> old = std::exchange(link, std::move(next));
    mirror.lose_client();
    send_mirror();
    down_told = false;
    trouble.clear();
    pending.push_back({.kind = EventKind::kBrokerUp});
    for (Link::Waiting& each : std::exchange(link->waiting, {})) take_over(each);
    end_elsewhere(std::move(old));
}

// What was handed out since the link was asked for comes out of its queue once more, and is not
// handed out again. What was lost since, only a new question tells.
void Reader::Impl::take_over(Link::Waiting& waiting) {
    Reply& reply = waiting.started;
    const auto [at, inserted] = partitions.try_emplace(reply.begin.partition, reply.begin);
    const Start progress = at->second.progress();
    const int64_t asked = reply.lost ? reply.lost_from : reply.begin.next_offset;
    if (progress.next_offset != asked) {
        if (reply.lost || progress.next_offset < asked) {
            waiting.tap->close();
            return restart(at->second, {});
        }
        reply.begin = progress;
    }
    reply.is_new = inserted;
    start(at->second, inserted, reply, std::move(waiting.tap));
    at->second.skip_ends_before(at->second.progress().next_offset);
}

Reader::Reader(std::string topic, const Properties& properties, bool with_headers)
    : impl_(std::make_unique<Impl>(std::move(topic), properties, with_headers)) {}

Reader::~Reader() = default;

int Reader::fd() const {
    return impl_->outlet->fd.get();
}

void Reader::assign(std::vector<Start> starts, int64_t otherwise) {
    // What appears later holds nothing from before its time.
    impl_->otherwise = otherwise == kUnread ? kUnread : kBeginning;
    impl_->link->control.discover(std::move(starts), otherwise);
}

void Reader::set_gait(Gait gait) {
    impl_->set_gait(gait);
}

Gait Reader::gait() const {
    return rests() ? Gait::kPatient : impl_->link->gait;
}

void Reader::rest() {
    impl_->rest();
}

void Reader::wake() {
    impl_->wake();
}

bool Reader::rests() const {
    return impl_->link == nullptr;
}

void Reader::events(std::vector<Event>& out) {
    impl_->outlet->fd.clear();
    if (rests()) return;
    impl_->prepare_change();
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
    if (found->has_news()) impl_->outlet->fd.fire();
    impl_->totals.message_count += count;
    impl_->totals.byte_count += static_cast<int64_t>(batch.bytes() - before);
    return count;
}

// What waits behind a limit fired the fd when it came, and will not fire it again.
void Reader::set_limit(int32_t partition, int64_t offset) {
    const auto [limit, is_new] = impl_->limits.try_emplace(partition, offset);
    if (!is_new && offset > limit->second) impl_->outlet->fd.fire();
    limit->second = offset;
    if (Partition* found = impl_->find(partition)) found->set_limit(offset);
}

void Reader::clear_limits() {
    impl_->limits.clear();
    for (auto& [number, partition] : impl_->partitions) partition.set_limit(kNoLimit);
    impl_->outlet->fd.fire();
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
    if (found == nullptr || !found->rests_at_end()) return;  // as in a reader that rests
    // A seek outdates at once what was fetched before it, and fetches anew from this position.
    const Owned<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(list.get(), impl_->topic.c_str(), partition)->offset =
        found->progress().next_offset;
    const Owned<rd_kafka_error_t> error(
        rd_kafka_seek_partitions(impl_->link->client.get(), list.get(), 0));
}

bool Reader::is_at_end() const {
    return !impl_->next && std::all_of(impl_->partitions.begin(), impl_->partitions.end(),
                                       [](const auto& each) { return each.second.rests_at_end(); });
}

void Reader::mirror(std::vector<Start> positions) {
    impl_->mirror.want(std::move(positions));
    impl_->send_mirror();
}

int64_t Reader::queued(int32_t partition) const {
    const Partition* found = impl_->find(partition);
    return found == nullptr ? 0 : found->queued();
}

int64_t Reader::lag() const {
    if (impl_->partitions.empty()) return -1;
    int64_t lag = 0;
    for (const auto& [number, partition] : impl_->partitions) {
        int64_t low = 0;
        int64_t high = -1;
        if (!rests())
            rd_kafka_get_watermark_offsets(impl_->link->client.get(), impl_->topic.c_str(), number,
                                           &low, &high);
        // A client that has just taken over has not been told yet.
        if (high < 0) high = partition.last_end();
        if (high < 0) return -1;
        lag += std::max<int64_t>(0, high - partition.progress().next_offset);
    }
    return lag;
}

ReaderStats Reader::stats() const {
    ReaderStats out = impl_->totals;
    int64_t waiting = 0;
    for (const auto& [number, partition] : impl_->partitions) waiting += partition.queued();
    constexpr int64_t kOverheadBytes = 200;  // of the client, for each message that waits
    const int64_t mean_bytes =
        out.message_count > 0 ? out.byte_count / out.message_count : kOverheadBytes;
    out.memory_bytes = waiting * (mean_bytes + kOverheadBytes);
    return out;
}

bool Reader::next_log(std::string& line, int& level) {
    return impl_->outlet->log.next(line, level);
}

}  // namespace anomaly::kafka
