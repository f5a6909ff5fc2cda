// Goal: the question for a topic's ends is answered, or says why not, within its time.
// Method: the mock cluster, waiting on the fd only.
#include <gtest/gtest.h>
#include <poll.h>

#include "bridge/topic.h"
#include "mock_cluster.h"

namespace anomaly::bridge {
namespace {

constexpr char kTopic[] = "readings";

class TopicEndsTest : public testing::Test {
  protected:
    void TearDown() override { topic_ends_close(ends_); }

    Status ask(int32_t time_limit_ms) {
        const kafka::Properties list = cluster_.properties();
        std::vector<Property> properties;
        for (const auto& [name, value] : list) properties.push_back({name.c_str(), value.c_str()});
        return topic_ends_open(kTopic, properties.data(), static_cast<int32_t>(properties.size()),
                               kNoTimeAsked, time_limit_ms, &ends_);
    }
    // Waits for the answer.
    Status answer() {
        pollfd waited{topic_ends_fd(ends_), POLLIN, 0};
        EXPECT_EQ(poll(&waited, 1, 20000), 1);
        bool done = false;
        const Status status = topic_ends_result(ends_, &done, &partitions_, &count_);
        EXPECT_TRUE(done);
        return status;
    }

    kafka::MockCluster cluster_;
    TopicEnds* ends_ = nullptr;
    const PartitionEnds* partitions_ = nullptr;
    int32_t count_ = 0;
};

TEST_F(TopicEndsTest, AnswersForEveryPartition) {
    cluster_.create(kTopic, 3);
    cluster_.produce(kTopic, 1, 7, "v");
    ASSERT_TRUE(ask(10000).ok());
    const Status status = answer();
    ASSERT_TRUE(status.ok()) << status.text;
    ASSERT_EQ(count_, 3);
    for (int32_t i = 0; i < 3; i++) {
        EXPECT_EQ(partitions_[i].partition, i);
        EXPECT_EQ(partitions_[i].low, 0);
        EXPECT_EQ(partitions_[i].high, i == 1 ? 7 : 0);
    }
}

TEST_F(TopicEndsTest, SaysThatTheTopicIsMissing) {
    cluster_.create(kTopic, 1);
    cluster_.refuse(kTopic, true);
    ASSERT_TRUE(ask(10000).ok());
    const Status status = answer();
    EXPECT_EQ(status.code, Code::kNoTopic);
    EXPECT_NE(std::string(status.text).find("Unknown topic"), std::string::npos) << status.text;
}

TEST_F(TopicEndsTest, GivesUpWhenTheTimeIsOver) {
    cluster_.down();
    ASSERT_TRUE(ask(300).ok());
    EXPECT_EQ(answer().code, Code::kBroker);
}

}  // namespace
}  // namespace anomaly::bridge
