// Goal: whatever the intake's thread is told while it is about to sleep, it does. Method: wake it
// and tell it a little later, each time a little more, since what is tested is a moment of it.
#include "kafka/intake.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <thread>

#include "kafka/client.h"
#include "kafka/control.h"

namespace anomaly::kafka {
namespace {

constexpr int kRounds = 20000;
constexpr int kSteps = 200;
constexpr std::chrono::nanoseconds kStep{200};
constexpr std::chrono::seconds kPatience{20};
constexpr int kRefreshMs = 60000;

class IntakeTest : public ::testing::Test {
  protected:
    // One that reads nothing: the thread drops it as soon as it has taken it.
    std::shared_ptr<Tap> closed_tap() {
        return std::make_shared<Tap>(0, nullptr, QueueLimits{}, false, taken_, fetched_);
    }

    void wake(int round) const {
        fetched_.fire();
        const auto end = std::chrono::steady_clock::now() + kStep * (round % kSteps);
        while (std::chrono::steady_clock::now() < end) continue;
    }

    LogRing log_;
    EventFd taken_;
    EventFd fetched_;
    const Owned<rd_kafka_t> client_ = make_consumer({}, log_, Gait::kQuick);
    Control control_{client_.get(), "readings", taken_, fetched_, kRefreshMs};
};

TEST_F(IntakeTest, TakesATapHoweverSoonItComesAfterMessages) {
    Intake intake(fetched_, control_);
    for (int i = 0; i < kRounds; i++) {
        std::shared_ptr<Tap> tap = closed_tap();
        const std::weak_ptr<Tap> watched = tap;
        wake(i);
        intake.add(std::move(tap));
        const auto end = std::chrono::steady_clock::now() + kPatience;
        while (!watched.expired() && std::chrono::steady_clock::now() < end)
            std::this_thread::yield();
        ASSERT_TRUE(watched.expired()) << "round " << i;
    }
}

// A thread that was not told would be waited for in vain.
TEST_F(IntakeTest, EndsHoweverSoonItIsToldToAfterMessages) {
    for (int i = 0; i < kRounds; i++) {
        const Intake intake(fetched_, control_);
        wake(i);
    }
}

}  // namespace
}  // namespace anomaly::kafka
