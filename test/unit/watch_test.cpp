// Goal: whatever happens to a topic that is watched is told, once, and only to who watches it.
// Method: the client library's mock cluster, waiting on the fd only.
#include "kafka/watch.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>

#include "kafka/reader.h"
#include "mock_cluster.h"

namespace anomaly::kafka {
namespace {

class WatchTest : public testing::Test {
  protected:
    void SetUp() override {
        for (const char* topic : {"one", "two"}) cluster.create(topic, 2);
    }

    void add(uint32_t id, const char* topic, int64_t first = 0) {
        watches.add(id, topic, properties(), {{0, first}, {1, 0}});
    }

    // The mock cluster lets a fetch wait for its whole time although something has come: it is half
    // of this one.
    Properties properties() {
        Properties result = cluster.properties();
        result.emplace_back("socket.timeout.ms", "2000");
        return result;
    }

    // The next news, id 0: none within the time.
    WatchNews next(int limit_ms = 20000) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms);
        while (queued.empty()) {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                end - std::chrono::steady_clock::now());
            pollfd waited{watches.fd(), POLLIN, 0};
            if (left.count() <= 0 || poll(&waited, 1, static_cast<int>(left.count())) == 0)
                return {0, false, {}};
            watches.poll(queued);
        }
        const WatchNews news = queued.front();
        queued.erase(queued.begin());
        return news;
    }

    void expect_end(uint32_t id) {
        const WatchNews news = next();
        EXPECT_EQ(news.id, id);
        EXPECT_TRUE(news.at_end) << news.why;
    }

    void expect_news(uint32_t id, const std::string& why) {
        const WatchNews news = next();
        EXPECT_EQ(news.id, id);
        EXPECT_FALSE(news.at_end);
        EXPECT_EQ(news.why, why);
    }

    MockCluster cluster;
    Watches watches;
    std::vector<WatchNews> queued;
};

TEST_F(WatchTest, TellsOfAMessageToOneTopicOnly) {
    add(1, "one");
    expect_end(1);
    add(2, "two");
    expect_end(2);
    cluster.produce("two", 1, 1, "m");
    expect_news(2, "a message");
    cluster.produce("two", 0, 1, "m");
    EXPECT_EQ(next(500).id, 0U);  // told once, and nothing to the other
    cluster.produce("one", 0, 1, "m");
    expect_news(1, "a message");
}

TEST_F(WatchTest, TellsOfAMessageThatWasThereBefore) {
    cluster.produce("one", 0, 2, "m");
    add(1, "one", 1);
    expect_news(1, "a message");
}

// What came while it was watched before, and was not looked at, does not keep its fd from firing.
TEST_F(WatchTest, TopicLeavesAndJoinsAgain) {
    add(1, "one");
    add(2, "two");
    for (int i = 0; i < 2; i++) EXPECT_TRUE(next().at_end);
    for (int64_t round = 1; round <= 3; round++) {
        cluster.produce("one", 0, 1, "m");
        expect_news(1, "a message");
        // Let the end come that follows the message.
        EXPECT_EQ(next(1500).id, 0U);
        watches.remove(1);
        add(1, "one", round);
        expect_end(1);
    }
}

TEST_F(WatchTest, SameTopicTwice) {
    cluster.produce("one", 0, 1, "m");
    add(1, "one", 1);
    add(2, "one", 0);
    bool ended = false;
    bool told = false;
    for (int i = 0; i < 2; i++) {
        const WatchNews news = next();
        ended = ended || (news.id == 1 && news.at_end);
        told = told || (news.id == 2 && !news.at_end);
    }
    EXPECT_TRUE(ended);
    EXPECT_TRUE(told);
}

TEST_F(WatchTest, TellsOfOffsetsThatAreGone) {
    add(1, "one", 10);
    const WatchNews news = next();
    EXPECT_EQ(news.id, 1U);
    EXPECT_FALSE(news.at_end);
}

TEST_F(WatchTest, TellsOfOtherPartitions) {
    cluster.create("three", 3);
    add(1, "three");
    WatchNews news = next();
    if (news.at_end) news = next();
    EXPECT_EQ(news.id, 1U);
    EXPECT_EQ(news.why, "its partitions may be others");
}

TEST_F(WatchTest, TellsAllOfAnOutage) {
    add(1, "one");
    add(2, "two");
    for (int i = 0; i < 2; i++) EXPECT_TRUE(next().at_end);
    cluster.down();
    uint32_t told = 0;
    for (int i = 0; i < 2; i++) {
        const WatchNews news = next();
        EXPECT_FALSE(news.at_end);
        told += news.id;
    }
    EXPECT_EQ(told, 3U);
    cluster.up();
    for (uint32_t id : {1, 2}) watches.remove(id);
    add(3, "one");
    expect_end(3);
}

// Longer than what reads, whatever the user has set for that, but never so long that what is asked
// behind a fetch would be given up.
TEST(WatchingConsumer, AsksSeldom) {
    const auto wait_ms = [](const Properties& properties, Gait gait) {
        LogRing log;
        return number_in_force(rd_kafka_conf(make_consumer(properties, log, gait).get()),
                               "fetch.wait.max.ms");
    };
    EXPECT_EQ(wait_ms({}, Gait::kPatient), 1000);
    EXPECT_EQ(wait_ms({}, Gait::kWatching), 5000);
    EXPECT_EQ(wait_ms({{"fetch.wait.max.ms", "50"}}, Gait::kPatient), 50);
    EXPECT_EQ(wait_ms({{"fetch.wait.max.ms", "50"}}, Gait::kWatching), 5000);
    EXPECT_EQ(wait_ms({{"socket.timeout.ms", "3000"}}, Gait::kWatching), 1500);
}

// A reader without a client, in whose absence something comes.
TEST_F(WatchTest, ReaderRestsAndReadsOn) {
    Reader reader("one", cluster.properties());
    std::vector<Event> events;
    MessageBatch batch;
    const auto pull_until = [&](const auto& condition) {
        while (!condition()) {
            pollfd waited{reader.fd(), POLLIN, 0};
            if (poll(&waited, 1, 20000) == 0) return false;
            reader.events(events);
            for (int32_t p : {0, 1}) reader.pull(p, batch, 100, 1 << 20);
        }
        return true;
    };
    reader.assign({}, kBeginning);
    cluster.produce("one", 0, 3, "before");
    ASSERT_TRUE(pull_until([&] { return batch.size() == 3 && reader.is_at_end(); }));
    reader.rest();
    EXPECT_TRUE(reader.rests());
    EXPECT_FALSE(reader.is_at_end());
    cluster.produce("one", 0, 2, "meanwhile");
    reader.events(events);
    EXPECT_EQ(reader.pull(0, batch, 100, 1 << 20), 0);
    EXPECT_EQ(reader.lag(), 0);
    reader.wake();
    ASSERT_TRUE(pull_until([&] { return batch.size() == 5 && reader.is_at_end(); }));
    batch.finish();
    for (int32_t i = 0; i < 5; i++) EXPECT_EQ(batch[i].offset, i);
    for (const Event& event : events) EXPECT_NE(event.kind, EventKind::kLostRange);
}

}  // namespace
}  // namespace anomaly::kafka
