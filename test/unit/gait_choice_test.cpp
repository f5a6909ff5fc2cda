#include "bridge/gait_choice.h"

#include <gtest/gtest.h>

namespace anomaly::bridge {
namespace {

using kafka::Gait;

constexpr int64_t kSecond = 1000000;
constexpr int64_t kMuch = 1000000;
constexpr int64_t kLittle = 1000;

class GaitChoiceTest : public ::testing::Test {
  protected:
    // Polls for so long as an ingest does, which looks at the lag when it is wanted.
    Gait after(int64_t seconds, int64_t lag, bool quiet = false) {
        constexpr int64_t kPoll = kSecond / 100;
        for (const int64_t until = now + seconds * kSecond; now < until;) {
            now += kPoll;
            choice.note_quiet(now, quiet);
            if (choice.wants_lag(now)) choice.note_lag(now, lag);
        }
        return choice.at(now);
    }

    int64_t now = 1700000000 * kSecond;
    GaitChoice choice{30 * kSecond};
};

TEST_F(GaitChoiceTest, BeginsInHasteAndEndsItOnceLittleIsLeft) {
    EXPECT_EQ(choice.at(now), Gait::kHasty);
    EXPECT_EQ(after(60, kMuch), Gait::kHasty);
    EXPECT_EQ(after(2, kLittle), Gait::kHasty);
    EXPECT_EQ(after(2, kLittle), Gait::kQuick);
}

TEST_F(GaitChoiceTest, HastensWhenMuchIsLeftForAWhile) {
    after(4, 0);
    EXPECT_EQ(after(100, kLittle), Gait::kQuick);
    for (int burst = 0; burst < 10; burst++) {
        choice.note_lag(now, kMuch);
        EXPECT_EQ(after(1, kLittle), Gait::kQuick);
    }
    EXPECT_EQ(after(2, kMuch), Gait::kHasty);
}

TEST_F(GaitChoiceTest, AnUnknownLagChangesNothing) {
    EXPECT_EQ(after(60, -1), Gait::kHasty);
    after(2, kLittle);
    after(1, -1);
    EXPECT_EQ(after(2, kLittle), Gait::kHasty);
    EXPECT_EQ(after(2, kLittle), Gait::kQuick);
    EXPECT_EQ(after(60, -1), Gait::kQuick);
}

TEST_F(GaitChoiceTest, AClockThatGoesBackHoldsNothingUp) {
    after(1, 0);
    now -= 3600 * kSecond;
    EXPECT_EQ(after(4, 0), Gait::kQuick);
    now -= 3600 * kSecond;
    EXPECT_EQ(after(2, kMuch), Gait::kHasty);
}

TEST_F(GaitChoiceTest, BecomesPatientInSilence) {
    EXPECT_EQ(after(29, 0, true), Gait::kQuick);
    EXPECT_EQ(after(2, 0, true), Gait::kPatient);
    EXPECT_EQ(choice.awake(), Gait::kQuick);
    EXPECT_EQ(after(1, 0, false), Gait::kQuick);
}

TEST_F(GaitChoiceTest, SaysWhenItMayChangeThoughNothingHappens) {
    choice.note_lag(now, 0);
    EXPECT_EQ(choice.due_us(now), now + 3 * kSecond);
    choice.note_quiet(now, true);
    after(4, 0, true);
    EXPECT_GT(choice.due_us(now), now + 25 * kSecond);
    after(30, 0, true);
    EXPECT_EQ(choice.due_us(now), INT64_MAX);
    // Without an answer it is not asked for again and again.
    choice.note_lag(now, kMuch);
    choice.note_lag(choice.due_us(now), -1);
    EXPECT_EQ(choice.due_us(now), INT64_MAX);
}

}  // namespace
}  // namespace anomaly::bridge
