#include "kafka/control.h"

#include <algorithm>
#include <utility>

namespace anomaly::kafka {
namespace {

constexpr std::chrono::milliseconds kFirstBackOff{50};
constexpr std::chrono::milliseconds kLastBackOff{1000};
constexpr int kNudgeMs = 100;
// A topic that was just made has no leaders for a moment: about a second and a half.
constexpr int kElectionTries = 5;

Owned<rd_kafka_topic_partition_list_t> list_of_one(const std::string& topic, int32_t partition) {
    Owned<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition);
    return list;
}

}  // namespace

Control::Control(rd_kafka_t* client, std::string topic, const EventFd& fd, const EventFd& fetched,
                 int refresh_ms)
    : client_(client),
      topic_(std::move(topic)),
      fd_(fd),
      fetched_(fetched),
      refresh_(refresh_ms),
      fetch_wait_ms_(number_in_force(rd_kafka_conf(client), "fetch.wait.max.ms")) {
    const SignalBlock block;
    thread_ = std::thread(&Control::run, this);
}

Control::~Control() {
    {
        const std::scoped_lock lock(mutex_);
        stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void Control::discover(std::vector<Start> starts, int64_t otherwise) {
    {
        const std::scoped_lock lock(mutex_);
        discover_ = std::move(starts);
        discover_otherwise_ = otherwise;
    }
    wake_.notify_one();
}

void Control::probe(bool is_down) {
    {
        const std::scoped_lock lock(mutex_);
        probe_ = true;
        if (is_down) outages_++;
    }
    wake_.notify_one();
}

void Control::restart(const Start& begin, std::string remade, int64_t request) {
    {
        const std::scoped_lock lock(mutex_);
        restarts_[begin.partition] = {begin, std::move(remade), request};
    }
    wake_.notify_one();
}

void Control::nudge(int32_t partition) {
    {
        const std::scoped_lock lock(mutex_);
        nudge_ = partition;
    }
    wake_.notify_one();
}

void Control::take(std::vector<Reply>& out) {
    const std::scoped_lock lock(mutex_);
    out = std::exchange(replies_, {});
}

// What was found out before an outage that the reader has learnt of meanwhile is no news to it.
void Control::tell(ReplyKind kind, std::string text) {
    {
        const std::scoped_lock lock(mutex_);
        if (outage_ != outages_) return;
        replies_.emplace_back();
        replies_.back().kind = kind;
        replies_.back().text = std::move(text);
    }
    fd_.fire();
}

void Control::tell_started(std::vector<Reply>& started) {
    {
        const std::scoped_lock lock(mutex_);
        std::move(started.begin(), started.end(), std::back_inserter(replies_));
    }
    fd_.fire();
}

bool Control::stopping() {
    const std::scoped_lock lock(mutex_);
    return stop_;
}

void Control::run() {
    auto back_off = kFirstBackOff;
    bool done = true;
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            const auto asked = [this] {
                return stop_ || probe_ || discover_ || !restarts_.empty() || nudge_;
            };
            if (!done)
                wake_.wait_for(lock, back_off, [this] { return stop_; });
            else if (begun_)
                wake_.wait_until(lock, refresh_at_, asked);
            else
                wake_.wait(lock, asked);
            if (stop_) return;
            if (std::exchange(probe_, false)) ask_due_ = true;
            if (outage_ != outages_) {
                outage_ = outages_;
                reachable_ = false;
                told_down_ = true;
            }
            if (discover_) {
                starts_ = std::move(*discover_);
                otherwise_ = discover_otherwise_;
                discover_.reset();
                discovering_ = ask_due_ = true;
            }
            for (auto& [partition, restart] : std::exchange(restarts_, {}))
                work_[partition] = std::move(restart);
            nudged_ = std::exchange(nudge_, std::nullopt);
        }
        try {
            // Any answer will do, none too: what matters is that the client had to send something.
            if (nudged_) ask_ends(client_, topic_, *nudged_, kNudgeMs);
            done = serve();
        } catch (const std::exception& error) {
            answered(Answer::kUnreachable, error.what());
            done = false;
        }
        back_off = done ? kFirstBackOff : std::min(back_off * 2, kLastBackOff);
    }
}

bool Control::serve() {
    if (begun_ && Clock::now() >= refresh_at_) ask_due_ = true;
    if (ask_due_ && !ask_topic()) return false;
    return restart_all();
}

// What the reader learns is only what has changed.
void Control::answered(Answer answer, const std::string& text) {
    const bool reachable = answer != Answer::kUnreachable;
    if (!reachable && !std::exchange(told_down_, true)) tell(ReplyKind::kDown, text);
    if (reachable && !reachable_) {
        tell(ReplyKind::kUp, {});
        missing_ = false;  // if it still is, that is told anew
    }
    if (reachable) told_down_ = false;
    reachable_ = reachable;
    if (answer == Answer::kMissing && !std::exchange(missing_, true))
        tell(ReplyKind::kMissing, text);
    if (answer == Answer::kGiven && std::exchange(missing_, false)) tell(ReplyKind::kFound, {});
}

// A broker answers one question of a connection after another: this one perhaps only when a fetch
// has waited there for as long as it may. Asked in steps, since the thread may have to end.
template <class Ask>
auto Control::ask_behind_fetch(const Ask& ask) {
    auto answer = ask();
    for (int64_t left_ms = fetch_wait_ms_; left_ms >= kAskMs / 2; left_ms -= kAskMs) {
        if (answer.answer != Answer::kUnreachable || stopping()) break;
        answer = ask();
    }
    return answer;
}

// Before it is read from, a topic is there only once its partitions have answered too.
bool Control::ask_topic() {
    const Partitions partitions =
        ask_behind_fetch([this] { return ask_partitions(client_, topic_, kAskMs); });
    const bool begins = discovering_ && !begun_;
    if (!begins || partitions.answer != Answer::kGiven)
        answered(partitions.answer, partitions.text);
    if (partitions.answer != Answer::kGiven) return false;
    if (discovering_ && !begin_all(partitions.numbers)) return false;
    refresh_at_ = Clock::now() + refresh_;
    ask_due_ = false;
    return true;
}

Start Control::wanted(int32_t partition) const {
    for (const Start& start : starts_)
        if (start.partition == partition) return start;
    Start start;
    start.partition = partition;
    // What appears later holds nothing from before its time.
    start.next_offset = begun_ && otherwise_ != kUnread ? kBeginning : otherwise_;
    return start;
}

// All or none at first: windows would not wait for a partition that nobody has begun to read.
bool Control::begin_all(const std::vector<int32_t>& partitions) {
    std::vector<Reply> started;
    for (const int32_t partition : partitions) {
        if (std::find(known_.begin(), known_.end(), partition) != known_.end()) continue;
        const Start start = wanted(partition);
        if (start.next_offset == kUnread) continue;
        Ends ends{};
        if (!ends_of(partition, ends)) return false;
        started.push_back(decide(start, {}, ends));
        started.back().is_new = begun_;
    }
    if (!begun_) answered(Answer::kGiven, {});
    if (!started.empty()) {
        start_reading(started);
        for (const Reply& each : started) known_.push_back(each.begin.partition);
        tell_started(started);
    }
    begun_ = true;
    return true;
}

bool Control::restart_all() {
    while (!work_.empty()) {
        const auto& [begin, remade, request] = work_.begin()->second;
        Ends ends{};
        if (!ends_of(begin.partition, ends)) {
            // The next attempt asks for the topic first: it says what is wrong.
            ask_due_ = true;
            return false;
        }
        std::vector<Reply> started;
        started.push_back(decide(begin, remade, ends));
        started.back().request = request;
        stop_reading(begin.partition);
        start_reading(started);
        tell_started(started);
        work_.erase(work_.begin());
    }
    return true;
}

bool Control::ends_of(int32_t partition, Ends& out) {
    if (stopping()) return false;
    const EndsAnswer answer =
        ask_behind_fetch([&] { return ask_ends(client_, topic_, partition, kAskMs); });
    const bool is_given = answer.answer == Answer::kGiven;
    if (answer.answer == Answer::kUnreachable) {
        answered(answer.answer, answer.text);
    } else if (!is_given && !begun_ && ++leaderless_ >= kElectionTries) {
        answered(Answer::kUnreachable, "no leader answers for partition " +
                                           std::to_string(partition) + " (" + answer.text + ")");
    }
    out = answer.ends;
    return is_given;
}

Reply Control::decide(const Start& begin, const std::string& remade, const Ends& ends) const {
    Reply out{};
    out.kind = ReplyKind::kStarted;
    out.begin = begin;
    const auto lose = [&](int64_t to, std::string why) {
        out.lost = true;
        out.lost_from = begin.next_offset;
        out.lost_to = to;
        out.text = std::move(why);
    };
    const auto from_low = [&] {
        out.begin.next_offset = ends.low;
        out.begin.last_offset = -1;
    };
    if (begin.next_offset == kBeginning) {
        from_low();
    } else if (begin.next_offset < 0) {
        out.begin.next_offset = ends.high;
    } else if (!remade.empty()) {
        lose(begin.next_offset, remade);
        from_low();
    } else if (begin.next_offset > ends.high) {
        lose(begin.next_offset, "the topic ends before offset " +
                                    std::to_string(begin.next_offset) + ": it was made again");
        from_low();
    } else if (begin.next_offset < ends.low) {
        lose(ends.low, "the broker had deleted them");
        from_low();
    } else {
        out.verify = begin.last_offset >= ends.low;
    }
    return out;
}

// The queue is told not to forward before the client begins to fetch, or the first messages would
// go to the queue that all partitions share.
void Control::start_reading(std::vector<Reply>& started) {
    Owned<rd_kafka_topic_partition_list_t> list(
        rd_kafka_topic_partition_list_new(static_cast<int>(started.size())));
    for (Reply& each : started) {
        const Start& begin = each.begin;
        each.queue.reset(rd_kafka_queue_get_partition(client_, topic_.c_str(), begin.partition));
        if (!each.queue) throw ClientError("no queue for a partition");
        rd_kafka_queue_forward(each.queue.get(), nullptr);
        fetched_.follow(each.queue.get());
        rd_kafka_topic_partition_list_add(list.get(), topic_.c_str(), begin.partition)->offset =
            each.verify ? begin.last_offset : begin.next_offset;
    }
    const Owned<rd_kafka_error_t> error(rd_kafka_incremental_assign(client_, list.get()));
    if (error) throw ClientError(rd_kafka_error_string(error.get()));
}

// An error means that the partition is not being read, which is what is wanted.
void Control::stop_reading(int32_t partition) {
    const auto list = list_of_one(topic_, partition);
    const Owned<rd_kafka_error_t> error(rd_kafka_incremental_unassign(client_, list.get()));
}

}  // namespace anomaly::kafka
