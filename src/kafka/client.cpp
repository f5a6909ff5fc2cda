#include "kafka/client.h"

#include <pthread.h>
#include <sys/prctl.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace anomaly::kafka {
namespace {

constexpr size_t kErrorBytes = 512;

struct Setting {
    const char* name;
    const char* value;
};

constexpr char kRefreshProperty[] = "topic.metadata.refresh.interval.ms";
constexpr char kWaitProperty[] = "fetch.wait.max.ms";

// What a user may override.
constexpr Setting kDefaults[] = {
    {"client.id", "anomaly"},
    {"group.id", "anomaly"},
    {"isolation.level", "read_committed"},
    // The library's own default is Kerberos, which runs programs.
    {"sasl.mechanisms", "PLAIN"},
    // An end is known only after a fetch has come back empty.
    {kWaitProperty, "100"},
    // Each partition has a queue of its own, so these bounds count per partition.
    {"queued.min.messages", "20000"},
    {"queued.max.messages.kbytes", "8192"},
    {"fetch.error.backoff.ms", "20"},
    {"reconnect.backoff.max.ms", "1000"},
    {kRefreshProperty, "30000"},
    {"log_level", "4"},
};

// In haste. A topic with one busy partition is read more than twice as fast as with 100 ms.
constexpr Setting kShortWait = {kWaitProperty, "5"};
// Of a patient consumer: a partition that joins waits until the fetch of those before it has come
// back.
constexpr int64_t kPatientWaitMs = 1000;
// Of one that watches: who joins reads with a client of its own until the watch has seen its ends.
constexpr int64_t kWatchingWaitMs = 5000;

// Since librdkafka 2.2 the pause after a queue was full, a second by default; before, see
// Control::nudge.
constexpr Setting kQueuePause = {"fetch.queue.backoff.ms", "5"};

// The library's main thread has a timer each second, waits for it in whole milliseconds, rounded
// down, and spins through the last one: two fifths of what an idle client costs. With slack in
// their timers its threads sleep past it. What arrives wakes them at once all the same.
constexpr unsigned long kTimerSlackNs = 2000000;
// All of its threads wake up once a second, for nothing when it is idle. With this they do so
// together, or when another timer wakes the processor anyway.
constexpr unsigned long kPatientSlackNs = 2000000000;

// Threads inherit the slack of the one that starts them.
class TimerSlack {
  public:
    explicit TimerSlack(unsigned long slack_ns) : saved_ns_(prctl(PR_GET_TIMERSLACK)) {
        prctl(PR_SET_TIMERSLACK, slack_ns);
    }
    ~TimerSlack() { prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(saved_ns_)); }
    TimerSlack(const TimerSlack&) = delete;
    TimerSlack& operator=(const TimerSlack&) = delete;

  private:
    const int saved_ns_;
};

// What the reader relies on.
constexpr Setting kFixed[] = {
    {"enable.auto.commit", "false"},       {"enable.auto.offset.store", "false"},
    {"enable.partition.eof", "true"},      {"auto.offset.reset", "error"},
    {"allow.auto.create.topics", "false"},
};

void set_if_known(rd_kafka_conf_t* conf, const Setting& setting) {
    char error[kErrorBytes] = {};
    rd_kafka_conf_set(conf, setting.name, setting.value, error, sizeof error);
}

void set_long_wait(rd_kafka_conf_t* conf, int64_t most_ms) {
    // What is asked behind a fetch must not be given up before it is answered.
    const int64_t patience_ms = number_in_force(conf, "socket.timeout.ms") / 2;
    set_property(conf, kWaitProperty, std::to_string(std::min(most_ms, patience_ms)).c_str());
}

void make_patient(rd_kafka_conf_t* conf, const Properties& properties, Gait gait) {
    // Whatever a user wants a fetch to bring together: it would be waited for so long.
    set_property(conf, "fetch.min.bytes", "1");
    if (gait == Gait::kWatching) {
        set_long_wait(conf, kWatchingWaitMs);
    } else if (!has_own_wait(properties)) {
        set_long_wait(conf, kPatientWaitMs);
    }
}

void store_log(const rd_kafka_t* client, int level, const char* facility, const char* text) {
    (void)facility;
    static_cast<LogRing*>(rd_kafka_opaque(client))->add(level, text);
}

}  // namespace

void Deleter::operator()(rd_kafka_t* client) const {
    rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

void LogRing::add(int level, const char* line) noexcept {
    try {
        const std::scoped_lock lock(mutex_);
        // "[thrd:name]: " differs between threads that say the same.
        const char* text = std::strstr(line, "]: ");
        if (text == nullptr) text = line;
        if (last_ == text) return;
        last_ = text;
        if (lines_.size() == kMaxLines) lines_.pop_front();
        lines_.emplace_back(level, std::string(line, strnlen(line, kMaxLineBytes)));
    } catch (const std::exception&) {
        // No memory for a log line: it is lost, which the caller's thread will notice by itself.
    }
}

bool LogRing::next(std::string& line, int& level) {
    const std::scoped_lock lock(mutex_);
    if (lines_.empty()) return false;
    level = lines_.front().first;
    line = std::move(lines_.front().second);
    lines_.pop_front();
    return true;
}

SignalBlock::SignalBlock() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved_);
}

SignalBlock::~SignalBlock() {
    pthread_sigmask(SIG_SETMASK, &saved_, nullptr);
}

void set_property(rd_kafka_conf_t* conf, const char* name, const char* value) {
    char error[kErrorBytes] = {};
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK)
        throw PropertyError(name, error);
}

bool has_own_wait(const Properties& properties) {
    return std::any_of(properties.begin(), properties.end(),
                       [](const auto& property) { return property.first == kWaitProperty; });
}

void check_property(const char* name, const char* value) {
    const Owned<rd_kafka_conf_t> conf(rd_kafka_conf_new());
    set_property(conf.get(), name, value);
}

Owned<rd_kafka_t> make_client(rd_kafka_type_t type, Owned<rd_kafka_conf_t> conf) {
    char error[kErrorBytes] = {};
    const SignalBlock block;
    Owned<rd_kafka_t> client(rd_kafka_new(type, conf.get(), error, sizeof error));
    if (!client) throw ClientError(error);
    (void)conf.release();  // the client's now
    return client;
}

Owned<rd_kafka_t> make_consumer(const Properties& properties, LogRing& log, Gait gait) {
    const bool patient = gait == Gait::kPatient || gait == Gait::kWatching;
    Owned<rd_kafka_conf_t> conf(rd_kafka_conf_new());
    for (const auto& [name, value] : kDefaults) set_property(conf.get(), name, value);
    if (gait == Gait::kHasty) set_property(conf.get(), kShortWait.name, kShortWait.value);
    set_if_known(conf.get(), kQueuePause);
    for (const auto& [name, value] : properties)
        set_property(conf.get(), name.c_str(), value.c_str());
    for (const auto& [name, value] : kFixed) set_property(conf.get(), name, value);
    if (patient) make_patient(conf.get(), properties, gait);
    rd_kafka_conf_set_opaque(conf.get(), &log);
    rd_kafka_conf_set_log_cb(conf.get(), store_log);
    rd_kafka_conf_set_events(conf.get(), RD_KAFKA_EVENT_ERROR);
    const TimerSlack slack(patient ? kPatientSlackNs : kTimerSlackNs);
    Owned<rd_kafka_t> client = make_client(RD_KAFKA_CONSUMER, std::move(conf));
    rd_kafka_poll_set_consumer(client.get());
    return client;
}

int refresh_ms(const rd_kafka_conf_t* conf) {
    const int64_t interval_ms = number_in_force(conf, kRefreshProperty);
    if (interval_ms < 0) return INT32_MAX;  // the client never looks
    return static_cast<int>(std::clamp<int64_t>(interval_ms, 100, INT32_MAX));
}

int64_t number_in_force(const rd_kafka_conf_t* conf, const char* property) {
    char text[32] = {};
    size_t size = sizeof text;
    int64_t value = INT64_MAX;
    if (rd_kafka_conf_get(conf, property, text, &size) == RD_KAFKA_CONF_OK)
        std::from_chars(text, text + sizeof text, value);
    return value;
}

}  // namespace anomaly::kafka
