// The bridge as the worker uses it, against librdkafka's mock cluster: read, fold, commit, stop,
// begin again; a topic that falls silent; two readers that meet.
#include "bridge/ingest.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cpu_stream.h"
#include "mock_cluster.h"

namespace anomaly::bridge {
namespace {

using anomaly::testing::cpu_message;
using anomaly::testing::CpuStream;
using anomaly::testing::kSecond;

constexpr int64_t kStart = 700000000 * kSecond;

int64_t real_clock_us() {
    auto since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(since).count() + kWindowOriginUs;
}

struct Closer {
    void operator()(Ingest* ingest) const { ingest_close(ingest); }
};
using Handle = std::unique_ptr<Ingest, Closer>;

// What the database keeps of one table.
struct Stored {
    std::vector<PartitionProgress> partitions;
    int64_t watermark = kNoTime;
    int64_t sequence = 0;
    std::vector<std::pair<CheckpointRow, std::string>> log;
    std::map<std::pair<int64_t, std::string>, double> averages;
    int closed = 0;

    void write(Ingest* ingest, int32_t table) {
        const TableChanges& changes = *ingest_changes(ingest, table);
        for (int32_t i = 0; i < changes.row_count; i++) {
            const uint64_t* cells = changes.keys[0].cells + 2 * i;
            std::string host(reinterpret_cast<const char*>(cells[0]), cells[1]);
            averages[{changes.window_starts[i], host}] =
                std::bit_cast<double>(changes.aggregates[0].cells[i]);
            if ((changes.flags[i] & kRowClosed) != 0) closed++;
        }
        const TableProgress& progress = changes.progress;
        partitions.assign(progress.partitions, progress.partitions + progress.partition_count);
        watermark = progress.watermark;
        sequence = progress.sequence;
        const CheckpointRow* row = nullptr;
        while (ingest_next_checkpoint_row(ingest, table, &row).ok() && row != nullptr)
            log.emplace_back(*row, std::string(row->data, static_cast<size_t>(row->size)));
    }
};

class IngestTest : public ::testing::Test {
  protected:
    void SetUp() override {
        cluster.create("cpu", 2);
        for (auto& [name, value] : cluster.properties()) {
            names.push_back(name);
            values.push_back(value);
        }
        names.push_back("fetch.wait.max.ms");
        values.push_back("50");
        stream.spec.idle_timeout_us = kSecond;
        char error[512];
        rd_kafka_conf_t* conf = rd_kafka_conf_new();
        rd_kafka_conf_set(conf, "bootstrap.servers", values[0].c_str(), error, sizeof error);
        rd_kafka_conf_set(conf, "linger.ms", "1", error, sizeof error);
        producer.reset(rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error));
        ASSERT_TRUE(producer) << error;
    }
    void send(int32_t partition, const std::string& value) {
        ASSERT_EQ(rd_kafka_producev(producer.get(), RD_KAFKA_V_TOPIC("cpu"),
                                    RD_KAFKA_V_PARTITION(partition),
                                    RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                                    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
                  RD_KAFKA_RESP_ERR_NO_ERROR);
        ASSERT_EQ(rd_kafka_flush(producer.get(), 20000), RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    Handle open(const Stored& stored) {
        std::vector<Property> properties;
        for (size_t i = 0; i < names.size(); i++) {
            properties.push_back({names[i].c_str(), values[i].c_str()});
        }
        IngestOptions options = {properties.data(), static_cast<int32_t>(properties.size()), 100,
                                 1 << 20, true};
        Ingest* ingest = nullptr;
        Status status = ingest_open(stream.spec, options, &ingest);
        EXPECT_TRUE(status.ok()) << status.text;
        Handle handle(ingest);
        int32_t table = -1;
        TableProgress progress = {stored.partitions.data(),
                                  static_cast<int32_t>(stored.partitions.size()), stored.watermark,
                                  stored.sequence};
        EXPECT_TRUE(ingest_add_table(ingest, stream.windowed(), progress, &table).ok());
        for (auto [row, data] : stored.log) {
            row.data = data.data();
            EXPECT_TRUE(ingest_restore(ingest, table, row).ok());
        }
        EXPECT_TRUE(ingest_restore_done(ingest, table).ok());
        EXPECT_TRUE(ingest_start(ingest, stored.partitions.data(),
                                 static_cast<int32_t>(stored.partitions.size()), kOffsetBeginning)
                        .ok());
        return handle;
    }
    // What the worker sees as now.
    int64_t clock_us() const { return real_clock_us() + passed_us; }
    // One turn of the worker: polls, folds, commits when nothing waits; then waits as it would.
    PollResult turn(Ingest* ingest, const std::vector<Stored*>& stored) {
        PollResult result = {};
        Status status = ingest_poll(ingest, clock_us(), &result);
        EXPECT_TRUE(status.ok()) << status.text;
        Request request = {};
        do {
            EXPECT_TRUE(ingest_next(ingest, &request).ok());
            for (int32_t i = 0; i < request.row_count; i++) {
                EXPECT_TRUE(ingest_reject(ingest, request.rows[i], "PostgreSQL says no").ok());
            }
        } while (request.need != Need::kNothing);
        if (result.has_batch) return result;
        if (result.wants_commit) {
            EXPECT_TRUE(ingest_prepare_commit(ingest, clock_us()).ok());
            for (size_t t = 0; t < stored.size(); t++) {
                stored[t]->write(ingest, static_cast<int32_t>(t));
            }
            EXPECT_TRUE(ingest_committed(ingest).ok());
            return result;
        }
        int64_t wait_ms = std::clamp<int64_t>((result.deadline_us - clock_us()) / 1000, 0, 1000);
        pollfd fd = {ingest_fd(ingest), POLLIN, 0};
        ::poll(&fd, 1, static_cast<int>(wait_ms));
        return result;
    }
    void run_until(Ingest* ingest, Stored& stored,
                   const std::function<bool(const PollResult&)>& done) {
        int64_t limit = clock_us() + 30 * kSecond;
        while (!done(turn(ingest, {&stored}))) ASSERT_LT(clock_us(), limit);
    }

    kafka::MockCluster cluster;
    kafka::Owned<rd_kafka_t> producer;
    std::vector<std::string> names, values;
    CpuStream stream;
    int64_t passed_us = 0;  // in which nothing happened
};

TEST_F(IngestTest, ReadsCommitsStopsAndGoesOn) {
    Stored stored;
    for (int i = 0; i < 250; i++) send(i % 2, cpu_message("doc", i, kStart + i * 10000));
    Handle first = open(stored);
    auto drained = [](const PollResult& r) { return r.all_at_end && !r.wants_commit; };
    run_until(first.get(), stored, drained);
    ASSERT_EQ(stored.averages.size(), 1u);
    EXPECT_EQ(stored.averages.begin()->second, 124.5);
    EXPECT_EQ(ingest_stats(first.get()).message_count, 250);
    first.reset();
    send(0, cpu_message("doc", 1000, kStart));
    send(1, "no json");
    Handle second = open(stored);
    run_until(second.get(), stored, drained);
    EXPECT_EQ(stored.averages.begin()->second, (124.5 * 250 + 1000) / 251);
    IngestStats stats = ingest_stats(second.get());
    EXPECT_EQ(stats.message_count, 2);
    EXPECT_EQ(stats.dead_letter_count, 1);
}

TEST_F(IngestTest, TheLastWindowOfASilentTopicClosesByItself) {
    Stored stored;
    // The window's end is a second off, less the delay: a few seconds of silence.
    stream.spec.watermark_delay_us = 0;
    int64_t end = window_start(kStart, 30 * kSecond, 0) + 30 * kSecond;
    send(0, cpu_message("doc", 7, end - kSecond));
    Handle ingest = open(stored);
    run_until(ingest.get(), stored, [&](const PollResult&) { return stored.closed == 1; });
    EXPECT_GE(stored.watermark, end);
    EXPECT_LT(stored.watermark, end + 10 * kSecond);
    PollResult result = turn(ingest.get(), {&stored});
    EXPECT_LT(result.deadline_us, INT64_MAX);  // then it becomes patient
}

TEST_F(IngestTest, ATopicThatHasFallenSilentIsReadOnAtOnce) {
    Stored stored;
    stream.spec.watermark_delay_us = 0;
    int64_t end = window_start(kStart, 30 * kSecond, 0) + 30 * kSecond;
    send(0, cpu_message("doc", 7, end - kSecond));
    Handle ingest = open(stored);
    for (int round = 1; round <= 2; round++) {
        run_until(ingest.get(), stored, [&](const PollResult&) { return stored.closed == round; });
        passed_us += 11 * kSecond;
        // Nothing is left for time to change.
        run_until(ingest.get(), stored,
                  [](const PollResult& r) { return r.deadline_us == INT64_MAX; });
        send(1, cpu_message("doc", 7, end + round * 60 * kSecond - kSecond));
        run_until(ingest.get(), stored, [&](const PollResult&) {
            return ingest_stats(ingest.get()).message_count == round + 1;
        });
    }
    run_until(ingest.get(), stored, [&](const PollResult&) { return stored.closed == 3; });
    EXPECT_EQ(stored.averages.size(), 3U);
}

TEST_F(IngestTest, TwoReadersMeetAndJoin) {
    Stored ahead, behind;
    for (int i = 0; i < 120; i++) send(i % 2, cpu_message("doc", i, kStart + i * 10000));
    Handle to = open(ahead);
    auto drained = [](const PollResult& r) { return r.all_at_end && !r.wants_commit; };
    run_until(to.get(), ahead, drained);
    Handle from = open(behind);
    EXPECT_EQ(ingest_distance(from.get(), to.get()), -1);
    ingest_read_until(from.get(), 0, 0);
    ingest_read_until(from.get(), 1, 0);
    run_until(from.get(), behind,
              [&](const PollResult&) { return ingest_distance(from.get(), to.get()) >= 0; });
    EXPECT_EQ(ingest_distance(from.get(), to.get()), 120);
    ingest_meet(to.get(), from.get());
    int32_t moved_by = -1;
    EXPECT_FALSE(ingest_join(to.get(), from.get(), &moved_by).ok());
    run_until(from.get(), behind,
              [&](const PollResult&) { return ingest_met(to.get(), from.get()); });
    ASSERT_TRUE(ingest_join(to.get(), from.get(), &moved_by).ok());
    EXPECT_EQ(moved_by, 1);
    from.reset();
    EXPECT_EQ(behind.averages, ahead.averages);
    send(0, cpu_message("grumpy", 5, kStart));
    int64_t limit = clock_us() + 30 * kSecond;
    while (ahead.averages.size() < 2) {
        turn(to.get(), {&ahead, &behind});
        ASSERT_LT(clock_us(), limit);
    }
    EXPECT_EQ(behind.averages, ahead.averages);
}

// A reader that is opened for tables that were further says where they are once it has begun.
TEST_F(IngestTest, ReadersMeetThatBeginAtDifferentPositions) {
    Stored ahead, behind;
    for (int i = 0; i < 120; i++) send(i % 2, cpu_message("doc", i, kStart + i * 10000));
    auto drained = [](const PollResult& r) { return r.all_at_end && !r.wants_commit; };
    run_until(open(ahead).get(), ahead, drained);
    Handle from = open(behind);
    ingest_read_until(from.get(), 0, 10);
    run_until(from.get(), behind,
              [&](const PollResult& r) { return !behind.partitions.empty() && !r.wants_commit; });
    Handle to = open(ahead);
    int64_t limit = clock_us() + 30 * kSecond;
    do {
        ingest_meet(to.get(), from.get());
        turn(to.get(), {&ahead});
        turn(from.get(), {&behind});
        ASSERT_LT(clock_us(), limit) << "the readers never meet";
    } while (!ingest_met(to.get(), from.get()));
    EXPECT_EQ(behind.averages, ahead.averages);
}

TEST_F(IngestTest, WordsForWhatCannotBe) {
    Property wrong = {"no.such.property", "1"};
    IngestOptions options = {&wrong, 1, 100, 1 << 20, true};
    Ingest* ingest = nullptr;
    EXPECT_EQ(ingest_open(stream.spec, options, &ingest).code, Code::kInvalidOption);
    Handle handle = open({});
    CheckpointRow row = {CheckpointKind::kDelta, 0, 1, 0, "nonsense", 8};
    int32_t table = -1;
    ASSERT_TRUE(
        ingest_add_table(handle.get(), stream.windowed(), {nullptr, 0, kNoTime, 0}, &table).ok());
    Status status = ingest_restore(handle.get(), table, row);
    EXPECT_EQ(status.code, Code::kCorrupt);
    EXPECT_NE(std::string(status.text).find("another version"), std::string::npos) << status.text;
    TableSpec no_sum = stream.windowed();
    AggregateSpec text_sum = {AggregateKind::kSum, false, {&stream.host, 1, Type::kText}, {}};
    no_sum.aggregates = &text_sum;
    no_sum.aggregate_count = 1;
    EXPECT_FALSE(ingest_add_table(handle.get(), no_sum, {nullptr, 0, kNoTime, 0}, &table).ok());
}

}  // namespace
}  // namespace anomaly::bridge
