// latency BROKERS TOPIC CONNINFO SECONDS: produces 10,000 of the seed's messages a second, as a
// producer does by default (it waits 5 ms for more to send together); each second a producer of its
// own, which waits for nothing, sends one with a usage over 1000. And LISTENs. Prints the median
// and the 99th percentile, in milliseconds, of the time from handing such a message to the client
// library to its notification, and of the part of it until the broker acknowledged the message:
// what is no business of ours. The first seconds are not measured: a broker that has just started
// acknowledges slowly.
#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "demo/generator/reading.h"

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kMessagesPerMs = 10;
constexpr milliseconds kWarmUp{10000};
constexpr milliseconds kBetweenAlerts{1000};
constexpr milliseconds kLongestWait{10000};

struct Deleter {
    void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
    void operator()(PGconn* connection) const { PQfinish(connection); }
    void operator()(PGresult* result) const { PQclear(result); }
    void operator()(PGnotify* notify) const { PQfreemem(notify); }
};
template <class T>
using Owned = std::unique_ptr<T, Deleter>;

double ms_since(Clock::time_point begun) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begun).count();
}

// An alert on its way to the broker; other messages have none.
struct Acknowledgement {
    Clock::time_point sent;
    std::vector<double> times;
};

void acknowledged(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
    if (message->_private == nullptr) return;
    auto* alert = static_cast<Acknowledgement*>(message->_private);
    alert->times.push_back(ms_since(alert->sent));
}

Owned<rd_kafka_t> make_producer(const char* brokers, const char* linger_ms) {
    char error[512] = {};
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    const char* const settings[][2] = {{"bootstrap.servers", brokers}, {"linger.ms", linger_ms}};
    for (const auto& setting : settings)
        rd_kafka_conf_set(conf, setting[0], setting[1], error, sizeof error);
    rd_kafka_conf_set_dr_msg_cb(conf, acknowledged);
    Owned<rd_kafka_t> client(rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error));
    if (!client) throw std::runtime_error(error);
    return client;
}

Owned<PGconn> listen(const char* conninfo) {
    Owned<PGconn> connection(PQconnectdb(conninfo));
    const Owned<PGresult> result(PQexec(connection.get(), "LISTEN anomaly"));
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK)
        throw std::runtime_error(PQerrorMessage(connection.get()));
    return connection;
}

class Run {
  public:
    Run(const char* brokers, const char* topic, const char* conninfo)
        : topic_(topic),
          load_(make_producer(brokers, "5")),
          alerts_(make_producer(brokers, "0")),
          connection_(listen(conninfo)) {
        produce(alerts_.get(), false);  // to be connected when it counts
    }

    // One alert is under way at most: the next one waits for it.
    std::vector<double> measure(int seconds) {
        std::vector<double> out;
        const auto begun = Clock::now();
        auto alert_at = begun + kWarmUp;
        auto turn_at = begun;
        while (static_cast<int>(out.size()) < seconds) {
            turn_at += milliseconds(1);
            for (int i = 0; i < kMessagesPerMs; i++) produce(load_.get(), false);
            if (!waiting_ && turn_at >= alert_at) {
                sent_ = acknowledged_.sent = Clock::now();
                produce(alerts_.get(), true);
                waiting_ = true;
                alert_at += kBetweenAlerts;
            }
            while (Clock::now() < turn_at) take_notifications(turn_at, out);
            if (waiting_ && Clock::now() - sent_ > kLongestWait)
                throw std::runtime_error("no notification came");
        }
        for (rd_kafka_t* producer : {load_.get(), alerts_.get()})
            rd_kafka_flush(producer, static_cast<int>(kLongestWait.count()));
        return out;
    }

    // Of all alerts, once measure() has returned.
    std::vector<double> acknowledgements() const { return acknowledged_.times; }

  private:
    void produce(rd_kafka_t* producer, bool alert) {
        const auto now = std::chrono::duration_cast<milliseconds>(
            std::chrono::system_clock::now().time_since_epoch());
        readings_.next(now.count());
        std::string value = readings_.value();
        if (alert) value.replace(value.find("usage\": ") + 8, 1, "1234");
        rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic_),
                          RD_KAFKA_V_VALUE(value.data(), value.size()),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_OPAQUE(alert ? &acknowledged_ : nullptr), RD_KAFKA_V_END);
        for (rd_kafka_t* client : {load_.get(), alerts_.get()}) rd_kafka_poll(client, 0);
    }

    void take_notifications(Clock::time_point until, std::vector<double>& out) {
        const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
        pollfd waited{PQsocket(connection_.get()), POLLIN, 0};
        if (poll(&waited, 1, static_cast<int>(std::max<int64_t>(left.count(), 0))) <= 0) return;
        PQconsumeInput(connection_.get());
        while (const Owned<PGnotify> notify{PQnotifies(connection_.get())}) {
            if (!std::exchange(waiting_, false)) continue;
            out.push_back(ms_since(sent_));
        }
    }

    const char* topic_;
    Acknowledgement acknowledged_;
    Owned<rd_kafka_t> load_;
    Owned<rd_kafka_t> alerts_;
    Owned<PGconn> connection_;
    anomaly::demo::Readings readings_{{}};
    Clock::time_point sent_;
    bool waiting_ = false;
};

double percentile(std::vector<double> times, double part) {
    if (times.empty()) throw std::runtime_error("nothing was measured");
    std::sort(times.begin(), times.end());
    const auto at = static_cast<size_t>(std::ceil(part * static_cast<double>(times.size())));
    return times[at == 0 ? 0 : at - 1];
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc != 5) throw std::runtime_error("usage: latency BROKERS TOPIC CONNINFO SECONDS");
        int seconds = 0;
        std::from_chars(argv[4], argv[4] + std::strlen(argv[4]), seconds);
        Run run(argv[1], argv[2], argv[3]);
        const std::vector<double> times = run.measure(seconds);
        const std::vector<double> acknowledged = run.acknowledgements();
        std::printf("%.2f\t%.2f\t%.2f\t%.2f\n", percentile(times, 0.5), percentile(times, 0.99),
                    percentile(acknowledged, 0.5), percentile(acknowledged, 0.99));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "latency: %s\n", error.what());
        return 1;
    }
}
