// Goal: of several requests to begin again, only the answer to the newest counts; of what lies in
// the queue of a client that takes over, the ends that are outdated do not.
#include "kafka/partition.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "kafka/reader.h"
#include "mock_cluster.h"

namespace anomaly::kafka {
namespace {

constexpr char kTopic[] = "readings";

template <class Condition>
bool comes_true(const Condition& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::yield();
    }
    return true;
}

// A client that reads partition 0 from an offset on, into a queue that nobody empties.
struct Client {
    Client(const Properties& properties, int64_t offset)
        : client(make_consumer(properties, log, Gait::kHasty)),
          queue(rd_kafka_queue_get_partition(client.get(), kTopic, 0)) {
        rd_kafka_queue_forward(queue.get(), nullptr);
        const Owned<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(1));
        rd_kafka_topic_partition_list_add(list.get(), kTopic, 0)->offset = offset;
        const Owned<rd_kafka_error_t> error(rd_kafka_incremental_assign(client.get(), list.get()));
        EXPECT_EQ(error, nullptr);
    }

    LogRing log;
    Owned<rd_kafka_t> client;
    Owned<rd_kafka_queue_t> queue;
};

// Where a reader goes on that has read everything.
Start after_all_of(const Properties& properties, int64_t end) {
    Reader reader(kTopic, properties);
    reader.assign({}, kBeginning);
    EXPECT_TRUE(comes_true([&] {
        std::vector<Event> events;
        MessageBatch batch;
        reader.events(events);
        reader.pull(0, batch, 100, 1 << 20);
        return reader.position(0) == end;
    }));
    return reader.progress(0);
}

// The broker answers, goes away and answers again: two requests are on their way, both from the
// same offset. Were the first answer taken, what is read after it would come again after the
// second.
TEST(Partition, AwaitsTheAnswerToItsNewestRequestOnly) {
    Start begin;
    begin.partition = 3;
    begin.next_offset = 100;
    Partition partition(begin);
    EXPECT_TRUE(partition.is_awaited(0)) << "a partition that was found is read without a request";
    const int64_t first = partition.request_restart();
    EXPECT_TRUE(partition.is_awaited(first));
    const int64_t second = partition.request_restart();
    EXPECT_FALSE(partition.is_awaited(first));
    EXPECT_TRUE(partition.is_awaited(second));
    EXPECT_FALSE(partition.is_awaited(0));
    EXPECT_EQ(partition.progress().next_offset, 100);
}

TEST(Partition, AnEndFromBeforeItTookOverIsNone) {
    MockCluster cluster;
    cluster.create(kTopic, 1);
    cluster.produce(kTopic, 0, 10, "v");
    Client client(cluster.properties(), 10);
    const EventFd fd;
    auto tap = std::make_shared<Tap>(0, std::move(client.queue), QueueLimits{}, false, fd, fd);
    const auto drain = [&] {
        for (bool stalled = false; tap->drain(&stalled);) continue;
    };
    const auto has_come = [&](int64_t count) {
        drain();
        return tap->queued() == count;
    };
    ASSERT_TRUE(comes_true([&] { return has_come(1); })) << "the end at 10";
    cluster.produce(kTopic, 0, 5, "w");
    const Start begin = after_all_of(cluster.properties(), 15);

    Partition partition(begin);
    partition.start(begin, true, tap);
    partition.skip_ends_before(begin.next_offset);
    MessageBatch batch;
    // In one fetch or several, each of which may end with an end of its own.
    ASSERT_TRUE(comes_true([&] {
        drain();
        partition.pull(batch, 100, 1 << 20);
        return partition.take_eof();
    }));
    EXPECT_EQ(partition.last_end(), 15);
    EXPECT_EQ(batch.size(), 0) << "all were handed out before";
    std::string why;
    EXPECT_EQ(partition.take_trouble(why), Partition::Trouble::kNone) << why;
}

}  // namespace
}  // namespace anomaly::kafka
