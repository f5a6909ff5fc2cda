// generate: produces the seed's readings of processor load to a topic, or any messages of yours.
//
//   generate --brokers LIST --topic NAME [option]...
//     --count N        so many messages; 0: until it is stopped (the default)
//     --rate N         messages a second; 0: as many as the broker takes (the default)
//     --seed N         of the random numbers (1)
//     --start-ms N     event time of the first message; default: now
//     --step-us N      event time from one message to the next; default: the wall clock
//     --partitions N   spread hosts over so many partitions; default: as many as there are
//     --hosts N        hostname0 to hostnameN-1 instead of the seven
//     --cpus N         cpu0 to cpuN-1 instead of cpu1 to cpu5
//     --file FILE      note what the broker acknowledged: partition, offset, value, for COPY
//     --property A=B   a property of the client library
//     --stdin          send lines of "partition<TAB>key<TAB>value" instead (\N: null, \x..: hex)
//     --timestamp-ms N Kafka's timestamp of all messages; default: now
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>

#include "generator/lines.h"
#include "generator/producer.h"
#include "generator/reading.h"

namespace anomaly::demo {
namespace {

volatile std::sig_atomic_t stop_asked = 0;

using Clock = std::chrono::steady_clock;

struct Options {
    std::string brokers;
    std::string topic;
    std::string file;
    std::vector<std::pair<std::string, std::string>> properties;
    ReadingOptions readings;
    int64_t count = 0;
    int64_t rate = 0;
    int64_t start_ms = -1;
    int64_t step_us = -1;
    int64_t partitions = 0;
    int64_t timestamp_ms = 0;
    bool from_stdin = false;
};

int64_t number(const std::string& name, const std::string& text) {
    int64_t out = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, out);
    if (error != std::errc() || stop != end || out < 0)
        throw std::runtime_error(name + " wants a number, not \"" + text + "\"");
    return out;
}

void set(Options& out, const std::string& name, const std::string& value) {
    if (name == "--brokers") {
        out.brokers = value;
    } else if (name == "--topic") {
        out.topic = value;
    } else if (name == "--file") {
        out.file = value;
    } else if (name == "--count") {
        out.count = number(name, value);
    } else if (name == "--rate") {
        out.rate = number(name, value);
    } else if (name == "--seed") {
        out.readings.seed = static_cast<uint64_t>(number(name, value));
    } else if (name == "--start-ms") {
        out.start_ms = number(name, value);
    } else if (name == "--step-us") {
        out.step_us = number(name, value);
    } else if (name == "--partitions") {
        out.partitions = number(name, value);
    } else if (name == "--hosts") {
        out.readings.hosts = static_cast<int32_t>(number(name, value));
    } else if (name == "--cpus") {
        out.readings.cpus = static_cast<int32_t>(number(name, value));
    } else if (name == "--timestamp-ms") {
        out.timestamp_ms = number(name, value);
    } else if (name == "--property" && value.find('=') != std::string::npos) {
        const size_t at = value.find('=');
        out.properties.emplace_back(value.substr(0, at), value.substr(at + 1));
    } else {
        throw std::runtime_error("unknown option " + name + "; the head of generate.cpp lists all");
    }
}

Options parse(int argc, char** argv) {
    Options out;
    for (int i = 1; i < argc; i++) {
        const std::string name = argv[i];
        if (name == "--stdin") {
            out.from_stdin = true;
            continue;
        }
        if (i + 1 == argc) throw std::runtime_error(name + " wants a value");
        set(out, name, argv[++i]);
    }
    if (out.brokers.empty() || out.topic.empty())
        throw std::runtime_error("--brokers and --topic are needed");
    return out;
}

int64_t wall_clock_ms() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// With a rate: serves the client until message number `sent` is due.
void keep_pace(const Options& options, int64_t sent, Clock::time_point begun, Producer& producer) {
    if (options.rate == 0) return;
    const auto due = begun + std::chrono::microseconds(sent * 1000000 / options.rate);
    const auto left = due - Clock::now();
    if (left <= std::chrono::milliseconds(1)) return;
    producer.serve(0);
    std::this_thread::sleep_until(due);
}

void send_readings(const Options& options, Producer& producer) {
    Readings readings(options.readings);
    const auto partitions = static_cast<uint32_t>(
        options.partitions > 0 ? options.partitions : producer.partition_count());
    const int64_t start_ms = options.start_ms >= 0 ? options.start_ms : wall_clock_ms();
    const auto begun = Clock::now();
    int64_t passed_ms = 0;
    for (int64_t i = 0; (options.count == 0 || i < options.count) && stop_asked == 0; i++) {
        keep_pace(options, i, begun, producer);
        if (options.step_us >= 0) {
            passed_ms = i * options.step_us / 1000;
        } else if (options.rate > 0 || i % 64 == 0) {
            passed_ms =
                std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun).count();
        }
        readings.next(start_ms + passed_ms);
        producer.send(static_cast<int32_t>(readings.host_hash() % partitions), readings.key(),
                      readings.value(), options.timestamp_ms);
        if (i % 4096 == 0) producer.serve(0);
    }
}

void send_lines(const Options& options, Producer& producer) {
    const auto begun = Clock::now();
    std::string text;
    for (int64_t i = 0; stop_asked == 0 && std::getline(std::cin, text); i++) {
        keep_pace(options, i, begun, producer);
        const Line line = parse_line(text);
        producer.send(line.partition, line.key, line.value, options.timestamp_ms);
        producer.serve(0);
    }
}

int run(const Options& options) {
    std::FILE* file = nullptr;
    if (!options.file.empty() && (file = std::fopen(options.file.c_str(), "w")) == nullptr)
        throw std::runtime_error(options.file + ": " + std::strerror(errno));
    const auto begun = Clock::now();
    bool all = false;
    int64_t acknowledged = 0;
    {
        Producer producer(options.brokers, options.topic, options.properties, file);
        if (options.from_stdin)
            send_lines(options, producer);
        else
            send_readings(options, producer);
        all = producer.flush(300000) && producer.failed() == 0;
        acknowledged = producer.acknowledged();
    }
    if (file != nullptr && std::fclose(file) != 0) throw std::runtime_error("could not write file");
    const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    std::fprintf(stderr, "%lld messages in %.2f s, %.0f a second%s\n",
                 static_cast<long long>(acknowledged), seconds,
                 static_cast<double>(acknowledged) / seconds, all ? "" : "; not all arrived");
    return all ? 0 : 1;
}

}  // namespace
}  // namespace anomaly::demo

int main(int argc, char** argv) {
    const auto ask_stop = [](int) { anomaly::demo::stop_asked = 1; };
    std::signal(SIGTERM, ask_stop);
    std::signal(SIGINT, ask_stop);
    try {
        std::ios::sync_with_stdio(false);
        return anomaly::demo::run(anomaly::demo::parse(argc, argv));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "generate: %s\n", error.what());
        return 1;
    }
}
