// Goal: the reader hands out each message once and in order, says the truth about ends, losses and
// the broker, and wakes its fd. Method: the client library's mock cluster, waiting on the fd only.
#include "kafka/reader.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <set>

#include "core/data/message_hash.h"
#include "mock_cluster.h"

namespace anomaly::kafka {
namespace {

constexpr char kTopic[] = "readings";

// Pulls a reader as its user does, and keeps what came.
class Drive {
  public:
    explicit Drive(Reader& driven) : reader(driven) {}

    // Until the condition holds; false when it does not within 20 s.
    bool until(const std::function<bool()>& condition) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (true) {
            turn();
            if (condition()) return true;
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                end - std::chrono::steady_clock::now());
            if (left.count() <= 0) return fail();
            pollfd waited{reader.fd(), POLLIN, 0};
            if (poll(&waited, 1, static_cast<int>(left.count())) == 0) return fail();
        }
    }

    bool until_ends(size_t partitions) {
        return until([this, partitions] { return ends.size() == partitions; });
    }

    size_t message_count() const {
        size_t count = 0;
        for (const auto& [partition, list] : values) count += list.size();
        return count;
    }

    bool has(EventKind kind) const { return find(kind) != nullptr; }
    const Event* find(EventKind kind) const {
        for (const Event& event : events)
            if (event.kind == kind) return &event;
        return nullptr;
    }

    Reader& reader;
    std::vector<Event> events;
    std::map<int32_t, int64_t> ends;  // kEof by partition, the newest
    int eof_count = 0;
    std::map<int32_t, std::vector<std::string>> values;
    std::map<int32_t, std::vector<int64_t>> offsets;
    std::set<int32_t> not_pulled;
    std::set<int32_t> assigned;
    int32_t max_rows = 100;

  private:
    // What there was when the time was up.
    bool fail() {
        for (const Event& e : events)
            std::cerr << "event " << static_cast<int>(e.kind) << " partition " << e.partition
                      << " offset " << e.offset << " " << e.text << "\n";
        for (const int32_t p : assigned)
            std::cerr << "partition " << p << " at " << reader.position(p) << ", "
                      << reader.queued(p) << " queued\n";
        std::string line;
        for (int level = 0; reader.next_log(line, level);) std::cerr << line << "\n";
        return false;
    }
    void turn() {
        int32_t pulled = 1;
        while (pulled > 0) {
            take_events();
            pulled = 0;
            for (const int32_t partition : assigned) {
                if (not_pulled.contains(partition)) continue;
                pulled += pull(partition);
            }
        }
    }
    int32_t pull(int32_t partition) {
        batch.clear();
        const int32_t count = reader.pull(partition, batch, max_rows, 16 << 20);
        batch.finish();
        for (int32_t i = 0; i < batch.size(); i++) {
            values[partition].emplace_back(batch.value(i));
            offsets[partition].push_back(batch[i].offset);
        }
        return count;
    }
    void take_events() {
        std::vector<Event> taken;
        reader.events(taken);
        for (Event& event : taken) {
            if (event.kind == EventKind::kEof) {
                ends[event.partition] = event.offset;
                eof_count++;
            }
            if (event.kind == EventKind::kAssigned || event.kind == EventKind::kPartitionAdded)
                assigned.insert(event.partition);
            events.push_back(std::move(event));
        }
    }

    MessageBatch batch;  // one for all, as its user has it
};

std::vector<int64_t> numbers(int64_t from, int64_t to) {
    std::vector<int64_t> out;
    for (int64_t i = from; i < to; i++) out.push_back(i);
    return out;
}

TEST(Reader, ReadsAllOfFourPartitionsToTheirEnds) {
    MockCluster cluster;
    cluster.create(kTopic, 4);
    for (int p = 0; p < 4; p++) cluster.produce(kTopic, p, 500, "p" + std::to_string(p) + "-");
    Reader reader(kTopic, cluster.properties());
    reader.assign({}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until_ends(4));
    for (int p = 0; p < 4; p++) {
        EXPECT_EQ(drive.offsets[p], numbers(0, 500));
        EXPECT_EQ(drive.values[p][7], "p" + std::to_string(p) + "-7");
        EXPECT_EQ(drive.ends[p], 500);
        EXPECT_EQ(reader.position(p), 500);
    }
    EXPECT_TRUE(drive.has(EventKind::kBrokerUp));
    EXPECT_EQ(reader.stats().message_count, 2000);
    EXPECT_EQ(reader.lag(), 0);
}

// What is handed over without a copy, and what is copied.
TEST(Reader, HandsOutWholeChunksPartsOfThemAndSeveral) {
    constexpr int kCount = 40000;
    MockCluster cluster;
    cluster.create(kTopic, 1);
    cluster.produce(kTopic, 0, kCount, "value number ");
    for (const int32_t max_rows : {3000, 8192, 20000}) {
        Reader reader(kTopic, cluster.properties());
        reader.assign({}, kBeginning);
        Drive drive(reader);
        drive.max_rows = max_rows;
        ASSERT_TRUE(drive.until_ends(1));
        ASSERT_EQ(drive.offsets[0], numbers(0, kCount));
        for (size_t i = 0; i < kCount; i++)
            ASSERT_EQ(drive.values[0][i], "value number " + std::to_string(i));
    }
}

TEST(Reader, BeginsWhereItIsTold) {
    MockCluster cluster;
    cluster.create(kTopic, 3);
    for (int p = 0; p < 3; p++) cluster.produce(kTopic, p, 10, "v");
    Reader reader(kTopic, cluster.properties());
    reader.assign({{0, 4, -1, 0}, {1, kEnd, -1, 0}}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until_ends(3));
    EXPECT_EQ(drive.offsets[0], numbers(4, 10));
    EXPECT_EQ(drive.offsets[1], numbers(0, 0));
    EXPECT_EQ(drive.offsets[2], numbers(0, 10));
    EXPECT_EQ(reader.position(1), 10);
}

TEST(Reader, FdFiresWhenAMessageComesAndNotBefore) {
    MockCluster cluster;
    cluster.create(kTopic, 1);
    Reader reader(kTopic, cluster.properties());
    reader.assign({}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until_ends(1));
    pollfd waited{reader.fd(), POLLIN, 0};
    EXPECT_EQ(poll(&waited, 1, 300), 0) << "nothing happened, and yet it fired";
    cluster.produce(kTopic, 0, 1, "v");
    EXPECT_EQ(poll(&waited, 1, 10000), 1);
    EXPECT_TRUE(drive.until([&] { return drive.message_count() == 1; }));
}

TEST(Reader, APartitionThatIsNotPulledHoldsUpNoOther) {
    MockCluster cluster;
    cluster.create(kTopic, 2);
    cluster.produce(kTopic, 0, 5000, "a");
    cluster.produce(kTopic, 1, 5000, "b");
    Properties properties = cluster.properties();
    properties.emplace_back("queued.min.messages", "100");
    Reader reader(kTopic, properties);
    reader.assign({}, kBeginning);
    Drive drive(reader);
    drive.not_pulled = {0};
    ASSERT_TRUE(drive.until([&] { return drive.ends.contains(1); }));
    EXPECT_EQ(drive.offsets[1], numbers(0, 5000));
    EXPECT_TRUE(drive.offsets[0].empty());
    drive.not_pulled.clear();
    ASSERT_TRUE(drive.until_ends(2));
    EXPECT_EQ(drive.offsets[0], numbers(0, 5000));
}

TEST(Reader, HandsOutNothingBeyondALimit) {
    MockCluster cluster;
    cluster.create(kTopic, 1);
    cluster.produce(kTopic, 0, 100, "v");
    Reader reader(kTopic, cluster.properties());
    reader.assign({}, kBeginning);
    Drive drive(reader);
    drive.not_pulled = {0};
    ASSERT_TRUE(drive.until([&] { return !drive.assigned.empty(); }));
    reader.set_limit(0, 40);
    drive.not_pulled.clear();
    ASSERT_TRUE(drive.until([&] { return reader.position(0) == 40; }));
    EXPECT_EQ(drive.offsets[0], numbers(0, 40));
    EXPECT_TRUE(drive.ends.empty());
    std::vector<Event> events;
    reader.events(events);
    // What waits behind the limit has fired the fd before, and must be heard of again.
    pollfd waiting = {reader.fd(), POLLIN, 0};
    reader.clear_limits();
    EXPECT_EQ(poll(&waiting, 1, 0), 1);
    ASSERT_TRUE(drive.until_ends(1));
    EXPECT_EQ(drive.offsets[0], numbers(0, 100));
}

// Two readers agree on where to meet before the newer of them has found its partitions.
TEST(Reader, KeepsALimitForAPartitionThatIsNotThereYet) {
    MockCluster cluster;
    cluster.create(kTopic, 1);
    cluster.produce(kTopic, 0, 100, "v");
    Reader reader(kTopic, cluster.properties());
    reader.set_limit(0, 40);
    reader.assign({}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until([&] { return reader.position(0) >= 40; }));
    EXPECT_EQ(drive.offsets[0], numbers(0, 40));
    reader.clear_limits();
    ASSERT_TRUE(drive.until_ends(1));
    EXPECT_EQ(drive.offsets[0], numbers(0, 100));
}

TEST(Reader, ConfirmsTheEndAgainWithoutLosingOrDoubling) {
    MockCluster cluster;
    cluster.create(kTopic, 1);
    cluster.produce(kTopic, 0, 10, "v");
    Reader reader(kTopic, cluster.properties());
    reader.assign({}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until_ends(1));
    for (int64_t round = 1; round <= 5; round++) {
        const int before = drive.eof_count;
        reader.request_eof(0);
        ASSERT_TRUE(drive.until([&] { return drive.eof_count == before + 1; }));
        EXPECT_EQ(drive.ends[0], 10 * round);
        reader.request_eof(0);
        cluster.produce(kTopic, 0, 10, "w");
        ASSERT_TRUE(drive.until([&] { return drive.ends[0] == 10 * (round + 1); }));
        EXPECT_EQ(drive.offsets[0], numbers(0, 10 * (round + 1)));
    }
}

TEST(Reader, SaysThatTheBrokerIsGoneAndGoesOnWhenItIsBack) {
    MockCluster cluster;
    cluster.create(kTopic, 2);
    for (int p = 0; p < 2; p++) cluster.produce(kTopic, p, 10, "v");
    Reader reader(kTopic, cluster.properties());
    reader.assign({}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until_ends(2));
    cluster.down();
    ASSERT_TRUE(drive.until([&] { return drive.has(EventKind::kBrokerDown); }));
    EXPECT_FALSE(drive.find(EventKind::kBrokerDown)->text.empty());
    drive.events.clear();
    drive.ends.clear();
    cluster.up();
    ASSERT_TRUE(drive.until([&] { return drive.has(EventKind::kBrokerUp); }));
    ASSERT_TRUE(drive.until_ends(2)) << "no end after the outage";
    for (int p = 0; p < 2; p++) cluster.produce(kTopic, p, 10, "w");
    ASSERT_TRUE(drive.until([&] { return drive.ends[0] == 20 && drive.ends[1] == 20; }));
    for (int p = 0; p < 2; p++) EXPECT_EQ(drive.offsets[p], numbers(0, 20));
    EXPECT_FALSE(drive.has(EventKind::kLostRange));
}

TEST(Reader, LooksForPartitionsAsOftenAsItsClient) {
    for (const auto& [value, expected_ms] :
         {std::pair{"-1", INT32_MAX}, {"10", 100}, {"5000", 5000}}) {
        const Owned<rd_kafka_conf_t> conf(rd_kafka_conf_new());
        set_property(conf.get(), "topic.metadata.refresh.interval.ms", value);
        EXPECT_EQ(refresh_ms(conf.get()), expected_ms) << value;
    }
}

// The mock cluster lets a fetch wait for its whole time although something has come.
Properties with_short_wait(Properties properties) {
    properties.emplace_back("fetch.wait.max.ms", "50");
    return properties;
}

size_t count_of(const Drive& drive, EventKind kind) {
    return static_cast<size_t>(
        std::count_if(drive.events.begin(), drive.events.end(),
                      [kind](const Event& event) { return event.kind == kind; }));
}

TEST(Reader, ChangesItsGaitWithoutLosingOrDoubling) {
    MockCluster cluster;
    cluster.create(kTopic, 4);
    Reader reader(kTopic, with_short_wait(cluster.properties()));
    reader.assign({}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until_ends(4));
    int produced = 0;
    for (size_t change = 1; change <= 6; change++) {
        const auto is_changed = [&] { return count_of(drive, EventKind::kBrokerUp) > change; };
        reader.set_gait(change % 2 == 1 ? Gait::kPatient : Gait::kQuick);
        // Some come before the change and some after it, and some partitions get none.
        while (!is_changed()) {
            for (int p = 0; p < 2; p++) cluster.produce(kTopic, p, 20, "v");
            produced += 20;
            const auto is_read = [&] {
                return static_cast<int>(drive.message_count()) == 2 * produced;
            };
            ASSERT_TRUE(drive.until([&] { return is_changed() || is_read(); }));
        }
    }
    ASSERT_TRUE(
        drive.until([&] { return static_cast<int>(drive.message_count()) >= 2 * produced; }));
    for (int p = 0; p < 2; p++) EXPECT_EQ(drive.offsets[p], numbers(0, produced));
    EXPECT_EQ(reader.lag(), 0);
    EXPECT_EQ(count_of(drive, EventKind::kAssigned), 4U);
    EXPECT_FALSE(drive.has(EventKind::kBrokerDown));
    EXPECT_FALSE(drive.has(EventKind::kLostRange));
}

TEST(Reader, SaysThatTheBrokerIsGoneWhateverItsGait) {
    MockCluster cluster;
    cluster.create(kTopic, 1);
    Reader reader(kTopic, with_short_wait(cluster.properties()));
    reader.assign({}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until_ends(1));
    reader.set_gait(Gait::kPatient);
    ASSERT_TRUE(drive.until([&] { return count_of(drive, EventKind::kBrokerUp) == 2; }));
    cluster.down();
    ASSERT_TRUE(drive.until([&] { return drive.has(EventKind::kBrokerDown); }));
    // The client that is to take over finds no broker either, and says nothing of its own.
    reader.set_gait(Gait::kQuick);
    cluster.up();
    ASSERT_TRUE(drive.until([&] { return count_of(drive, EventKind::kBrokerUp) > 2; }));
    cluster.produce(kTopic, 0, 10, "v");
    ASSERT_TRUE(drive.until([&] { return drive.message_count() == 10; }));
    EXPECT_EQ(count_of(drive, EventKind::kBrokerDown), 1U);
    EXPECT_EQ(drive.offsets[0], numbers(0, 10));
}

TEST(Reader, BeginsInHasteUnlessTheUserHasAWaitOfHisOwn) {
    MockCluster cluster;
    cluster.create(kTopic, 1);
    cluster.produce(kTopic, 0, 10, "v");
    for (const bool own : {false, true}) {
        Reader reader(kTopic, own ? with_short_wait(cluster.properties()) : cluster.properties());
        EXPECT_EQ(reader.gait(), own ? Gait::kQuick : Gait::kHasty);
        reader.assign({}, kBeginning);
        Drive drive(reader);
        ASSERT_TRUE(drive.until_ends(1));
        for (const Gait gait : {Gait::kQuick, Gait::kHasty}) {
            reader.set_gait(gait);
            if (own) continue;  // there is nothing to change
            ASSERT_TRUE(drive.until([&] { return reader.gait() == gait; }));
        }
        // As long as a change takes that was not wanted.
        for (int round = 0; round < 5; round++) {
            cluster.produce(kTopic, 0, 10, "v");
            const size_t more = drive.message_count() + 10;
            ASSERT_TRUE(drive.until([&] { return drive.message_count() == more; }));
            EXPECT_EQ(drive.offsets[0], numbers(0, static_cast<int>(more)));
        }
        EXPECT_EQ(count_of(drive, EventKind::kBrokerUp), own ? 1U : 3U);
        EXPECT_EQ(reader.gait(), own ? Gait::kQuick : Gait::kHasty);
    }
}

TEST(Reader, TheLastGaitThatWasAskedForHolds) {
    MockCluster cluster;
    cluster.create(kTopic, 1);
    Reader reader(kTopic, cluster.properties());
    reader.assign({}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until_ends(1));
    reader.set_gait(Gait::kPatient);
    reader.set_gait(Gait::kQuick);
    ASSERT_TRUE(drive.until([&] { return reader.gait() != Gait::kHasty; }));
    EXPECT_EQ(reader.gait(), Gait::kQuick);
}

class ReaderOfGait : public ::testing::TestWithParam<Gait> {};
INSTANTIATE_TEST_SUITE_P(Both, ReaderOfGait, ::testing::Values(Gait::kQuick, Gait::kPatient));

TEST_P(ReaderOfGait, FollowsAPartitionToAnotherLeader) {
    MockCluster cluster(2);
    cluster.create(kTopic, 1);
    cluster.move_leader(kTopic, 0, 1);
    cluster.produce(kTopic, 0, 10, "v");
    Reader reader(kTopic, with_short_wait(cluster.properties()));
    reader.assign({}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until_ends(1));
    reader.set_gait(GetParam());
    const size_t ups = GetParam() == Gait::kPatient ? 2 : 1;
    ASSERT_TRUE(drive.until([&] { return count_of(drive, EventKind::kBrokerUp) == ups; }));
    for (const int broker : {2, 1, 2}) {
        const int64_t before = drive.ends[0];
        cluster.move_leader(kTopic, 0, broker);
        cluster.produce(kTopic, 0, 10, "w");
        ASSERT_TRUE(drive.until([&] { return drive.ends[0] == before + 10; })) << broker;
    }
    EXPECT_EQ(drive.offsets[0], numbers(0, 40));
    EXPECT_FALSE(drive.has(EventKind::kLostRange));
}

TEST(Reader, StartsWhileNoBrokerAnswers) {
    MockCluster cluster;
    cluster.create(kTopic, 1);
    cluster.produce(kTopic, 0, 3, "v");
    cluster.down();
    Reader reader(kTopic, cluster.properties());
    reader.assign({}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until([&] { return drive.has(EventKind::kBrokerDown); }));
    cluster.up();
    ASSERT_TRUE(drive.until_ends(1));
    EXPECT_EQ(drive.offsets[0], numbers(0, 3));
}

// Where the coordinator is comes to light only after the client has gone that was to tell it.
TEST(Reader, TellsItsPositionThoughItsClientChanges) {
    MockCluster cluster;
    cluster.create(kTopic, 1);
    cluster.produce(kTopic, 0, 30, "v");
    cluster.hide_coordinator(true);
    Reader reader(kTopic, with_short_wait(cluster.properties()));
    reader.assign({}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until_ends(1));
    for (const int64_t position : {0, 10, 20}) reader.mirror({{0, position}});
    reader.set_gait(Gait::kPatient);
    ASSERT_TRUE(drive.until([&] { return reader.gait() == Gait::kPatient; }));
    cluster.hide_coordinator(false);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (cluster.committed(kTopic, 0) != 20 && std::chrono::steady_clock::now() < end)
        drive.until([] { return true; });
    EXPECT_EQ(cluster.committed(kTopic, 0), 20);
}

// Why it waits is said, once, however often it asks.
TEST(Reader, BeginsOnceEveryPartitionHasALeader) {
    MockCluster cluster;
    cluster.create(kTopic, 2);
    cluster.produce(kTopic, 0, 3, "v");
    cluster.move_leader(kTopic, 1, -1);
    Reader reader(kTopic, with_short_wait(cluster.properties()));
    reader.assign({}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until([&] { return drive.has(EventKind::kBrokerDown); }));
    const std::string why = drive.find(EventKind::kBrokerDown)->text;
    EXPECT_EQ(why.find("no leader answers for partition 1 ("), 0U) << why;
    // For some of its attempts, which are a second apart by now.
    for (int tenth = 0; tenth < 30; tenth++) {
        pollfd waited{reader.fd(), POLLIN, 0};
        poll(&waited, 1, 100);
        ASSERT_TRUE(drive.until([] { return true; }));
    }
    EXPECT_EQ(drive.events.size(), 1U);
    cluster.move_leader(kTopic, 1, 1);
    ASSERT_TRUE(drive.until_ends(2));
    EXPECT_EQ(drive.events[1].kind, EventKind::kBrokerUp);
    EXPECT_EQ(drive.offsets[0], numbers(0, 3));
    // What is being read holds up nobody when it loses its own.
    cluster.move_leader(kTopic, 1, -1);
    cluster.produce(kTopic, 0, 3, "v");
    ASSERT_TRUE(drive.until([&] { return drive.message_count() == 6; }));
}

TEST(Reader, WaitsForATopicThatIsMissing) {
    MockCluster cluster;
    cluster.create(kTopic, 1);
    cluster.produce(kTopic, 0, 3, "v");
    cluster.refuse(kTopic, true);
    Reader reader(kTopic, cluster.properties());
    reader.assign({}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until([&] { return drive.has(EventKind::kTopicMissing); }));
    EXPECT_TRUE(drive.assigned.empty());
    cluster.refuse(kTopic, false);
    ASSERT_TRUE(drive.until_ends(1));
    EXPECT_EQ(drive.offsets[0], numbers(0, 3));
}

Start start_at(int64_t next, int64_t last, const std::string& value, int64_t timestamp_ms) {
    return {
        0, next, last,
        message_hash(timestamp_ms, nullptr, -1, value.data(), static_cast<int32_t>(value.size()))};
}

TEST(Reader, DropsTheLastMessageWhenItIsStillTheSame) {
    MockCluster cluster;
    cluster.create(kTopic, 1);
    cluster.produce(kTopic, 0, 10, "v");
    Reader reader(kTopic, cluster.properties());
    reader.assign({start_at(6, 5, "v5", 1005)}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until_ends(1));
    EXPECT_EQ(drive.offsets[0], numbers(6, 10));
    EXPECT_FALSE(drive.has(EventKind::kLostRange));
    const Start progress = reader.progress(0);
    EXPECT_EQ(progress.next_offset, 10);
    EXPECT_EQ(progress.last_offset, 9);
    EXPECT_EQ(progress.last_hash, start_at(0, 0, "v9", 1009).last_hash);
}

TEST(Reader, BeginsAgainWhenTheLastMessageIsAnotherOne) {
    MockCluster cluster;
    cluster.create(kTopic, 1);
    cluster.produce(kTopic, 0, 10, "v");
    Reader reader(kTopic, cluster.properties());
    reader.assign({start_at(6, 5, "another", 1005)}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until_ends(1));
    EXPECT_EQ(drive.offsets[0], numbers(0, 10));
    const Event* lost = drive.find(EventKind::kLostRange);
    ASSERT_NE(lost, nullptr);
    EXPECT_EQ(lost->offset, 6);
    EXPECT_EQ(lost->resume_offset, 0);
    EXPECT_NE(lost->text.find("made again"), std::string::npos);
}

TEST(Reader, BeginsAgainWhenTheTopicIsShorterThanWhatWasRead) {
    for (const int64_t last : {int64_t{10}, int64_t{50}}) {
        MockCluster cluster;
        cluster.create(kTopic, 1);
        cluster.produce(kTopic, 0, 10, "v");
        Reader reader(kTopic, cluster.properties());
        reader.assign({start_at(last + 1, last, "v", 1)}, kBeginning);
        Drive drive(reader);
        ASSERT_TRUE(drive.until_ends(1));
        EXPECT_EQ(drive.offsets[0], numbers(0, 10));
        EXPECT_TRUE(drive.has(EventKind::kLostRange));
    }
}

// An older client library sleeps for a second when all its queues are full: here for longer than
// Drive waits, if nobody wakes it.
TEST(Reader, ReadsOnAtOnceWhenAFullQueueHasRoomAgain) {
    MockCluster cluster;
    cluster.create(kTopic, 1);
    for (int i = 0; i < 240; i++) cluster.produce(kTopic, 0, 50, "v");
    Properties properties = cluster.properties();
    properties.emplace_back("queued.min.messages", "50");
    properties.emplace_back("fetch.message.max.bytes", "1000");
    Reader reader(kTopic, properties);
    reader.assign({}, kBeginning);
    Drive drive(reader);
    ASSERT_TRUE(drive.until_ends(1));
    EXPECT_EQ(drive.offsets[0], numbers(0, 12000));
}

TEST(Reader, NamesAPropertyThatTheLibraryDoesNotTake) {
    const std::pair<const char*, const char*> wrong[] = {{"no.such", "1"},
                                                         {"socket.timeout.ms", "soon"}};
    for (const auto& [name, value] : wrong) {
        try {
            Reader reader(kTopic, {{name, value}});
            FAIL() << name << " was taken";
        } catch (const PropertyError& error) {
            EXPECT_EQ(error.name, name);
            EXPECT_NE(std::string(error.what()), "");
        }
    }
}

TEST(MessageHash, TellsNullFromEmptyAndFieldsFromEachOther) {
    const std::set<uint64_t> hashes = {
        message_hash(1, nullptr, -1, "ab", 2), message_hash(1, "", 0, "ab", 2),
        message_hash(1, "a", 1, "b", 1),       message_hash(1, "ab", 2, nullptr, -1),
        message_hash(1, "ab", 2, "", 0),       message_hash(2, nullptr, -1, "ab", 2)};
    EXPECT_EQ(hashes.size(), 6u);
    // Stored in tables, so it may not change.
    EXPECT_EQ(message_hash(1, "a", 1, "b", 1), 1655848270777291449u);
}

}  // namespace
}  // namespace anomaly::kafka
