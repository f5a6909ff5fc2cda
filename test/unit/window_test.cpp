// Windows of tumble and hop by length and by calendar, and the zones they are reckoned in. That
// they are PostgreSQL's is shown by 140_windows.pl; here are the edges.
#include "core/time/window.h"

#include <gtest/gtest.h>

#include <random>

namespace anomaly {
namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kHour = 3600 * kSecond;
constexpr int64_t kDay = 24 * kHour;

TEST(Window, StartsAreAlignedTo1970) {
    int64_t minute = 60 * kSecond;
    EXPECT_EQ(window_start(0, minute, 0), 0);
    EXPECT_EQ(window_start(-1, minute, 0), -minute);
    EXPECT_EQ(window_start(59 * kSecond, minute, 0), 0);
    EXPECT_EQ(window_start(59 * kSecond, minute, 30 * kSecond), 30 * kSecond);
    // 7 h windows from 1970: 946684800 s are 37565 windows and 4.2 h.
    int64_t size = 7 * 3600 * kSecond;
    EXPECT_EQ((window_start(0, size, 0) - kWindowOriginUs) % size, 0);
    std::mt19937_64 random(3);
    for (int i = 0; i < 10000; i++) {
        int64_t time = static_cast<int64_t>(random()) / 4;
        int64_t offset = static_cast<int64_t>(random() % 100000) - 50000;
        int64_t start = window_start(time, size, offset);
        ASSERT_LE(start, time);
        ASSERT_LT(time - start, size);
        ASSERT_EQ(
            static_cast<int64_t>((static_cast<__int128>(start) - kWindowOriginUs - offset) % size),
            0);
    }
}

// Two hours ahead in summer, one in winter: 2000-03-26 01:00 and 2000-10-29 01:00 UTC.
constexpr ZoneChange kSummers[] = {{85 * kDay + kHour, 2 * kHour}, {302 * kDay + kHour, kHour}};
constexpr ZoneSpec kZone = {kHour, kSummers, 2, false};
// A day was left out, as on the islands that moved over the date line.
constexpr ZoneChange kLeap[] = {{100 * kDay, 12 * kHour}};
constexpr ZoneSpec kLeapZone = {-12 * kHour, kLeap, 1, false};

WindowSpec days(int64_t slide, int64_t size, const ZoneSpec& zone) {
    return {WindowUnit::kDays, slide, size, 0, 0, zone};
}

void expect_windows(WindowRule& rule, int64_t time, const std::vector<Window>& expected) {
    std::span<const Window> windows = rule.at(time);
    ASSERT_EQ(windows.size(), expected.size());
    for (size_t i = 0; i < expected.size(); i++) {
        EXPECT_EQ(windows[i].start_us, expected[i].start_us);
        EXPECT_EQ(windows[i].end_us, expected[i].end_us);
    }
}

TEST(Window, HopsOverlapOrLeaveGaps) {
    WindowRule overlap({WindowUnit::kMicroseconds, 10 * kSecond, 30 * kSecond, 0, 0, {}});
    expect_windows(overlap, 25 * kSecond,
                   {{0, 30 * kSecond}, {10 * kSecond, 40 * kSecond}, {20 * kSecond, 50 * kSecond}});
    EXPECT_EQ(overlap.at_once(), 3);
    WindowRule gaps({WindowUnit::kMicroseconds, 30 * kSecond, 10 * kSecond, 0, 0, {}});
    expect_windows(gaps, 9 * kSecond, {{0, 10 * kSecond}});
    expect_windows(gaps, 10 * kSecond, {});
    expect_windows(gaps, 29 * kSecond, {});
    expect_windows(gaps, 30 * kSecond, {{30 * kSecond, 40 * kSecond}});
}

TEST(Window, DaysAreThoseOfTheZone) {
    WindowRule rule(days(1, 1, kZone));
    expect_windows(rule, 0, {{-kHour, 23 * kHour}});
    expect_windows(rule, 85 * kDay + 12 * kHour, {{85 * kDay - kHour, 86 * kDay - 2 * kHour}});
    expect_windows(rule, 302 * kDay, {{302 * kDay - 2 * kHour, 303 * kDay - kHour}});
}

TEST(Window, WhereADayIsLeftOutEachBoundNamesOneWindow) {
    WindowRule tumble(days(1, 1, kLeapZone));
    int64_t leap = 100 * kDay;
    expect_windows(tumble, leap - 1, {{leap - 12 * kHour, leap + 12 * kHour}});
    WindowRule hop(days(1, 2, kLeapZone));
    std::span<const Window> windows = hop.at(leap + kHour);
    for (size_t i = 1; i < windows.size(); i++) {
        EXPECT_LT(windows[i - 1].start_us, windows[i].start_us);
        EXPECT_LT(windows[i - 1].end_us, windows[i].end_us);
    }
}

TEST(Zone, SkippedTimesCountOnAndRepeatedOnesAreTheSecond) {
    Zone zone(kZone);
    EXPECT_EQ(zone.to_local(85 * kDay + kHour - 1), 85 * kDay + 2 * kHour - 1);
    EXPECT_EQ(zone.to_local(85 * kDay + kHour), 85 * kDay + 3 * kHour);
    EXPECT_EQ(zone.to_utc(85 * kDay + 2 * kHour + 1), 85 * kDay + kHour + 1);
    EXPECT_EQ(zone.to_utc(302 * kDay + 2 * kHour + 1), 302 * kDay + kHour + 1);
}

TEST(Zone, ItsLast400YearsComeAgain) {
    ZoneSpec spec = kZone;
    spec.repeats = true;
    Zone zone(spec);
    constexpr int64_t kCycle = 146097 * kDay;
    for (int64_t cycle : {int64_t{1}, int64_t{2}, int64_t{7}}) {
        int64_t summer = 150 * kDay + cycle * kCycle;
        EXPECT_EQ(zone.to_local(summer), summer + 2 * kHour);
        EXPECT_EQ(zone.to_utc(summer + 2 * kHour), summer);
        EXPECT_EQ(zone.to_local(summer + 200 * kDay), summer + 200 * kDay + kHour);
    }
}

// What at() says, end_of and last_start_over say too.
void check_agreement(const WindowSpec& spec) {
    ASSERT_FALSE(WindowRule::check(spec));
    WindowRule rule(spec);
    std::mt19937_64 random(7);
    for (int i = 0; i < 3000; i++) {
        int64_t time = static_cast<int64_t>(random() % (800 * uint64_t{kDay})) - 200 * kDay;
        std::vector<Window> windows(rule.at(time).begin(), rule.at(time).end());
        int64_t over = rule.last_start_over(time);
        for (const Window& window : windows) {
            ASSERT_LE(window.start_us, time);
            ASSERT_LT(time, window.end_us);
            ASSERT_EQ(rule.end_of(window.start_us), window.end_us);
            ASSERT_GT(window.start_us, over);
            ASSERT_GE(rule.last_start_over(window.end_us), window.start_us);
            ASSERT_LT(rule.last_start_over(window.end_us - 1), window.start_us);
        }
        ASSERT_LE(windows.size(), static_cast<size_t>(rule.at_once()));
        if (spec.slide <= spec.size && spec.zone.changes != kLeap) {
            ASSERT_FALSE(windows.empty());
        }
    }
}

TEST(Window, ItsThreeQuestionsHaveAnswersThatAgree) {
    for (const ZoneSpec& zone : {kZone, kLeapZone, ZoneSpec{}}) {
        for (int64_t offset : {int64_t{0}, 5 * kHour, -40 * kDay}) {
            check_agreement({WindowUnit::kDays, 1, 1, offset, 0, zone});
            check_agreement({WindowUnit::kDays, 2, 7, offset, 0, zone});
            check_agreement({WindowUnit::kDays, 7, 2, offset, 0, zone});
            check_agreement({WindowUnit::kMonths, 1, 1, offset, 1, zone});
            check_agreement({WindowUnit::kMonths, 1, 3, offset, -5, zone});
            check_agreement({WindowUnit::kMicroseconds, 7 * kHour, 20 * kHour, offset, 0, {}});
        }
    }
}

TEST(Window, ThereAreLimits) {
    EXPECT_TRUE(WindowRule::check(days(0, 1, kZone)));
    EXPECT_TRUE(WindowRule::check(days(1, 400000, kZone)));
    EXPECT_TRUE(WindowRule::check(days(1, 10001, kZone)));
    EXPECT_FALSE(WindowRule::check(days(1, 10000, kZone)));
    WindowRule years({WindowUnit::kMonths, 12000, 12000, 0, 0, kZone});
    constexpr int64_t kLeast = -211813488000 * kSecond;
    constexpr int64_t kLast = 9223371331200 * kSecond - 1;
    EXPECT_FALSE(WindowRule::in_range(years.at(kLeast).front()));
    EXPECT_FALSE(WindowRule::in_range(years.at(kLast).front()));
    EXPECT_LT(years.last_start_over(kLeast), kLeast);
    EXPECT_LT(years.last_start_over(kLast), kLast);
    EXPECT_EQ(years.last_start_over(INT64_MIN), INT64_MIN);
}

}  // namespace
}  // namespace anomaly
