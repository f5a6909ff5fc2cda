// mock_broker: librdkafka's mock cluster in a process of its own, for demos and quick tests.
//
//   mock_broker [--topic NAME [--partitions N]]... [--brokers N] [--with-parent]
//
// Prints "bootstrap.servers=..." on standard output and runs until SIGTERM or SIGINT; with
// --with-parent also until its parent ends. It keeps messages in memory, about 5 MB a partition.
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <sys/prctl.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace {

struct Topic {
    std::string name;
    int partitions = 1;
};

struct Options {
    std::vector<Topic> topics;
    int brokers = 1;
    bool with_parent = false;
};

int usage() {
    std::fputs(
        "usage: mock_broker [--topic NAME [--partitions N]]... [--brokers N] [--with-parent]\n",
        stderr);
    return 2;
}

bool to_int(const char* text, int& out) {
    const char* end = text + std::strlen(text);
    const auto [stop, error] = std::from_chars(text, end, out);
    return error == std::errc() && stop == end && out > 0;
}

bool parse(int argc, char** argv, Options& out) {
    for (int i = 1; i < argc; i++) {
        const std::string name = argv[i];
        if (name == "--with-parent") {
            out.with_parent = true;
            continue;
        }
        if (++i == argc) return false;
        if (name == "--topic") {
            out.topics.push_back({argv[i]});
        } else if (name == "--partitions") {
            if (out.topics.empty() || !to_int(argv[i], out.topics.back().partitions)) return false;
        } else if (name != "--brokers" || !to_int(argv[i], out.brokers)) {
            return false;
        }
    }
    return true;
}

int serve(const Options& options, const sigset_t& endings) {
    char error[512] = {};
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", error, sizeof error);
    rd_kafka_t* client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (client == nullptr) {
        std::fprintf(stderr, "mock_broker: %s\n", error);
        return 1;
    }
    rd_kafka_mock_cluster_t* cluster = rd_kafka_mock_cluster_new(client, options.brokers);
    for (const Topic& topic : options.topics)
        rd_kafka_mock_topic_create(cluster, topic.name.c_str(), topic.partitions, 1);
    std::printf("bootstrap.servers=%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    std::fflush(stdout);

    int signal = 0;
    sigwait(&endings, &signal);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(client);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    if (!parse(argc, argv, options)) return usage();
    // Blocked here and so in every thread that starts later: the cluster's own thread masks none.
    sigset_t endings;
    sigemptyset(&endings);
    sigaddset(&endings, SIGTERM);
    sigaddset(&endings, SIGINT);
    pthread_sigmask(SIG_BLOCK, &endings, nullptr);
    if (options.with_parent) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() == 1) return 0;  // it had ended before we asked
    }
    return serve(options, endings);
}
