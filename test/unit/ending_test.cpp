// Goal: whoever ends a client does not wait for that, and knows of those that never end.
// Method: owners whose end the test holds up.
#include "kafka/ending.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>

namespace anomaly::kafka {
namespace {

// Ends when it may, and says when it has.
struct HeldUp {
    HeldUp(std::promise<void>& may, std::promise<void>& has)
        : may_end(may.get_future()), ended(has) {}
    ~HeldUp() {
        may_end.wait();
        ended.set_value();
    }
    std::future<void> may_end;
    std::promise<void>& ended;
};

class EndingTest : public testing::Test {
  protected:
    bool has_ended() const {
        return is_over.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    }

    std::promise<void> may_end;
    std::promise<void> ended;
    const std::future<void> is_over = ended.get_future();
};

TEST_F(EndingTest, NobodyWaits) {
    end_elsewhere(std::make_shared<HeldUp>(may_end, ended));
    EXPECT_FALSE(has_ended());
    EXPECT_FALSE(has_endless_clients());
    may_end.set_value();
    await_ends();
    EXPECT_TRUE(has_ended());
}

TEST_F(EndingTest, EndlessIsKnown) {
    end_elsewhere(std::make_shared<HeldUp>(may_end, ended));
    await_ends();
    EXPECT_FALSE(has_ended());
    EXPECT_TRUE(has_endless_clients());
    may_end.set_value();
    is_over.wait();
}

}  // namespace
}  // namespace anomaly::kafka
