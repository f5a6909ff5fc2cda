// Event time: a small world of one reader and one table, driven step by step. Seconds throughout.
#include <gtest/gtest.h>

#include <random>

#include "core/time/source_clock.h"
#include "core/time/watermark.h"
#include "core/time/window.h"

namespace anomaly {
namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kIdle = 10 * kSecond;  // confirmations each 2.5 s
constexpr int64_t kDelay = 5 * kSecond;

struct World {
    explicit World(int32_t partitions, int64_t watermark = kNoTime)
        : table(kDelay, {nullptr, 0, watermark, 0}) {
        for (int32_t i = 0; i < partitions; i++) source.assigned(i, kNoTime);
        source.tick(now);
    }
    void message(int32_t partition, int64_t event_s) {
        source.message(partition, event_s * kSecond);
        table.message(partition, event_s * kSecond);
    }
    // The worker turns when it wants to; the broker answers at once, where it answers.
    void run(int64_t seconds, bool answers = true) {
        int64_t end = now + seconds * kSecond;
        while (now < end) {
            source.tick(now);
            std::vector<int32_t> confirms;
            source.take_confirms(true, now, confirms);
            for (int32_t p : confirms) {
                if (answers) source.broker_eof(p, now);
            }
            int64_t next = std::max(source.next_confirm_us(true), now + kSecond / 100);
            now = std::min(next, end);
            source.tick(now);
        }
    }
    void eof(int32_t partition) { source.broker_eof(partition, now); }
    // kNoTime or seconds.
    int64_t watermark() {
        table.advance_to(table.watermark_at(source, now));
        return table.watermark() == kNoTime ? kNoTime : table.watermark() / kSecond;
    }

    int64_t now = 1000000 * kSecond;
    SourceClock source{kIdle};
    TableClock table;
};

TEST(Watermark, IsTheSlowestPartitionLessTheDelayAndNeverGoesBack) {
    World w(2);
    w.message(0, 100);
    EXPECT_EQ(w.watermark(), kNoTime);  // partition 1 has not been read
    w.message(1, 50);
    EXPECT_EQ(w.watermark(), 45);
    w.message(1, 80);
    EXPECT_EQ(w.watermark(), 75);
    w.message(1, 20);
    EXPECT_EQ(w.watermark(), 75);
    w.message(1, 300);
    EXPECT_EQ(w.watermark(), 95);
}

TEST(Watermark, AnEmptyPartitionHoldsItOnlyUntilItsSilenceIsProved) {
    World w(2);
    w.message(0, 100);
    w.eof(1);
    w.run(5);
    w.message(0, 105);
    EXPECT_EQ(w.watermark(), kNoTime);
    w.run(8);
    w.message(0, 113);
    EXPECT_EQ(w.watermark(), 108);
}

TEST(Watermark, APartitionNotYetReadHoldsItForEver) {
    World w(2);
    w.message(0, 100);
    w.eof(0);
    w.run(3600);
    EXPECT_EQ(w.watermark(), kNoTime);
}

TEST(Watermark, ASilentTopicGoesOnWithTheClockAlsoWithOldData) {
    World w(2);
    w.message(0, 100);
    w.message(1, 200);
    w.eof(0);
    w.eof(1);
    w.run(9);
    EXPECT_EQ(w.watermark(), 95);
    w.run(51);
    int64_t silence = 60;
    EXPECT_NEAR(static_cast<double>(w.watermark()), static_cast<double>(195 + silence), 3);
    int64_t reached = w.watermark();
    w.message(0, 150);  // backward: nothing goes back
    EXPECT_EQ(w.watermark(), reached);
}

TEST(Watermark, ATopicThatNeverHadAMessageHasNone) {
    World w(2);
    w.eof(0);
    w.eof(1);
    w.run(100);
    EXPECT_EQ(w.watermark(), kNoTime);
}

TEST(Watermark, BadMessagesAreSilence) {
    World w(1);
    w.message(0, 100);
    w.eof(0);
    for (int i = 0; i < 30; i++) {
        w.run(1);
        w.source.bad_message(0);
        w.eof(0);
    }
    EXPECT_GT(w.watermark(), 110);
}

TEST(Watermark, ARestartIsNotSilence) {
    World w(1, 95 * kSecond);
    w.table.message(0, 100 * kSecond);
    w.now += 3600 * kSecond;
    w.eof(0);
    w.run(8);
    EXPECT_EQ(w.watermark(), 95);
    w.run(7);
    EXPECT_NEAR(static_cast<double>(w.watermark()), 95 + 15, 3);
}

TEST(Watermark, AnOutageIsNotSilence) {
    World w(1);
    w.message(0, 100);
    w.eof(0);
    w.run(5);
    w.source.broker_down();
    w.run(600);
    EXPECT_EQ(w.source.next_confirm_us(true), INT64_MAX);
    EXPECT_EQ(w.watermark(), 95);
    w.source.broker_up();
    w.run(3);
    EXPECT_EQ(w.watermark(), 95);
    w.run(10);
    EXPECT_NEAR(static_cast<double>(w.watermark()), 95 + 18, 3.5);
}

TEST(Watermark, OutagesAddUpToNoSilence) {
    World w(1);
    w.message(0, 100);
    w.eof(0);
    for (int i = 0; i < 20; i++) {
        w.source.broker_down();
        for (int s = 0; s < 60; s++) w.run(1);  // the worker goes on turning
        w.source.broker_up();
        w.eof(0);
    }
    EXPECT_EQ(w.watermark(), 95);
    EXPECT_EQ(w.source.silence_us(), 0);
}

TEST(Watermark, OneConfirmationVouchesForOneQuantumAtMost) {
    World w(1);
    w.message(0, 100);
    w.eof(0);
    for (int s = 0; s < 100; s++) {
        w.now += kSecond;
        w.source.tick(w.now);
    }
    w.eof(0);
    EXPECT_EQ(w.source.silence_us(), kIdle / 4 + SourceClock::kSlackUs);
}

TEST(Watermark, ABrokerThatHangsProvesNothing) {
    World w(1);
    w.message(0, 100);
    w.eof(0);
    w.run(20);
    int64_t reached = w.watermark();
    EXPECT_GT(reached, 110);
    w.run(600, false);
    EXPECT_EQ(w.watermark(), reached);
    EXPECT_TRUE(w.source.counts(0, w.now));
    w.eof(0);  // the late answer
    EXPECT_LE(w.watermark(), reached + 1);
}

TEST(Watermark, AWaitOfTheWorkerIsNotSilence) {
    World w(1);
    w.message(0, 100);
    w.eof(0);
    for (int i = 0; i < 20; i++) {
        w.now += 60 * kSecond;  // one commit takes a minute
        w.source.tick(w.now);
        w.eof(0);
    }
    EXPECT_EQ(w.watermark(), 95);
}

TEST(Watermark, ASlowPartitionIsNotOvertakenWhileItIsRead) {
    World w(2);
    for (int64_t s = 0; s < 7200; s += 60) w.message(0, s);
    w.message(1, 10);
    w.eof(0);
    w.run(100);  // 0 is idle at its end, 1 is hours behind and being read
    w.message(1, 11);
    EXPECT_EQ(w.watermark(), 6);
}

TEST(SourceClock, AsksOnlyWhileSomethingWaits) {
    World w(1);
    w.message(0, 100);
    w.eof(0);
    EXPECT_EQ(w.source.next_confirm_us(false), INT64_MAX);
    EXPECT_EQ(w.source.next_confirm_us(true), w.now + kIdle / 4);
}

TEST(SourceClock, PartitionsTooFarAheadWaitButNeverTheSlowest) {
    World w(3);
    std::vector<int32_t> read;
    w.source.partitions_to_read(60 * kSecond, 0, read);
    EXPECT_EQ(read, (std::vector<int32_t>{0, 1, 2}));
    w.message(0, 1000);
    w.message(1, 1050);
    w.source.partitions_to_read(60 * kSecond, 0, read);
    EXPECT_EQ(read, (std::vector<int32_t>{2, 0, 1}));
    w.message(1, 1061);
    w.source.partitions_to_read(60 * kSecond, 0, read);
    EXPECT_EQ(read, (std::vector<int32_t>{2, 0}));  // 2 may begin as early as any
    w.message(2, 1055);
    w.eof(0);  // nothing more to read there: nobody waits for it
    w.source.partitions_to_read(60 * kSecond, 0, read);
    EXPECT_EQ(read, (std::vector<int32_t>{0, 2, 1}));
}

}  // namespace
}  // namespace anomaly
