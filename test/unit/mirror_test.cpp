// Goal: what tools for lag see of a group is, in the end, the last position that it was told.
// Method: the client library's mock cluster.
#include "kafka/mirror.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <functional>
#include <memory>

#include "kafka/reader.h"
#include "mock_cluster.h"

namespace anomaly::kafka {
namespace {

constexpr char kTopic[] = "readings";

class MirrorTest : public ::testing::Test {
  protected:
    MirrorTest() {
        cluster.create(kTopic, 1);
        cluster.produce(kTopic, 0, 30, "v");
    }

    // Reads on until then; false: it never is.
    bool until(const std::function<bool()>& condition) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!condition()) {
            if (std::chrono::steady_clock::now() > end) return false;
            std::vector<Event> events;
            MessageBatch batch;
            reader->events(events);
            reader->pull(0, batch, 100, 1 << 20);
            pollfd waited{reader->fd(), POLLIN, 0};
            poll(&waited, 1, 100);
        }
        return true;
    }
    bool is_told(int64_t position) {
        return until([&] { return cluster.committed(kTopic, 0) == position; });
    }

    // The mock cluster lets a fetch wait for its whole time although something has come.
    Properties with_short_wait() {
        Properties properties = cluster.properties();
        properties.emplace_back("fetch.wait.max.ms", "50");
        return properties;
    }

    MockCluster cluster;
    Reader& open() {
        reader = std::make_unique<Reader>(kTopic, with_short_wait());
        reader->assign({}, kBeginning);
        return *reader;
    }
    std::unique_ptr<Reader> reader;
};

TEST_F(MirrorTest, TellsOneAfterTheOther) {
    Reader& told = open();
    for (const int64_t position : {5, 15, 25}) told.mirror({{0, position}});
    EXPECT_TRUE(is_told(25));
    told.mirror({{0, 30}});
    EXPECT_TRUE(is_told(30));
}

TEST_F(MirrorTest, TellsWhenItWakesUp) {
    Reader& told = open();
    ASSERT_TRUE(until([&] { return told.position(0) == 30; }));
    told.rest();
    told.mirror({{0, 30}});
    told.wake();
    EXPECT_TRUE(is_told(30));
}

}  // namespace
}  // namespace anomaly::kafka
