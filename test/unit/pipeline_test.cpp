// Batches through the whole of core, with commits and restarts at random moments. The goal: after
// every commit a table holds what its query gives over the good messages that were not late.
#include "core/table/pipeline.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <tuple>

#include "cpu_stream.h"

namespace anomaly {
namespace {

using testing::cpu_message;
using testing::CpuStream;
using testing::kSecond;

constexpr int64_t kNow = 800000000 * kSecond;

struct Group {
    double sum = 0;
    int64_t count = 0;
    double max = -1;  // of those over 80
    bool operator==(const Group&) const = default;
};
using GroupKey = std::pair<int64_t, std::string>;  // window, host
using Groups = std::map<GroupKey, Group>;

struct StoredRow {
    CheckpointKind kind;
    int32_t shard;
    int64_t sequence;
    int32_t part;
    std::string data;
};

// What the database keeps of one table.
struct Database {
    std::map<GroupKey, std::pair<double, double>> rows;  // avg, max (-1: NULL)
    std::map<GroupKey, int> closed;
    std::vector<std::string> appended;
    std::vector<PartitionProgress> partitions;
    int64_t watermark = kNoTime;
    int64_t sequence = 0;
    std::vector<StoredRow> log;
    std::vector<std::pair<int32_t, int64_t>> late;

    TableProgress progress() const {
        return {partitions.data(), static_cast<int32_t>(partitions.size()), watermark, sequence};
    }

    void write(TableState& table, bool filter) {
        const TableChanges& changes = table.changes();
        for (int32_t i = 0; i < changes.row_count; i++) {
            if (!filter && i % kRowsShown == 0) table.show_rows(i);
            filter ? append(changes, i) : upsert(changes, i);
        }
        for (int32_t i = 0; i < changes.late_row_count; i++) {
            late.emplace_back(changes.late_rows[i].partition, changes.late_rows[i].offset);
        }
        ASSERT_EQ(changes.progress.sequence, sequence + 1);
        partitions.assign(changes.progress.partitions,
                          changes.progress.partitions + changes.progress.partition_count);
        ASSERT_GE(changes.progress.watermark, watermark);
        watermark = changes.progress.watermark;
        sequence = changes.progress.sequence;
        while (const CheckpointRow* row = table.next_checkpoint_row()) {
            ASSERT_LE(row->size, kCheckpointRowBytes);
            log.push_back({row->kind, row->shard, row->sequence, row->part,
                           std::string(row->data, static_cast<size_t>(row->size))});
        }
        remove_obsolete(table.take_obsolete());
    }

    void restore(TableState& table) const {
        for (CheckpointKind kind : {CheckpointKind::kSnapshot, CheckpointKind::kDelta}) {
            for (const StoredRow& row : log) {
                if (row.kind != kind) continue;
                Error error =
                    table.restore({row.kind, row.shard, row.sequence, row.part, row.data.data(),
                                   static_cast<int32_t>(row.data.size())});
                ASSERT_FALSE(error) << *error;
            }
        }
        Error error = table.restore_done();
        ASSERT_FALSE(error) << *error;
    }

  private:
    void append(const TableChanges& changes, int32_t i) {
        const uint64_t* cells = changes.outputs[0].cells + 2 * i;
        appended.emplace_back(reinterpret_cast<const char*>(cells[0]), cells[1]);
    }
    // Row `number` of all, which is shown.
    void upsert(const TableChanges& changes, int32_t number) {
        const int32_t i = number - changes.first_shown;
        const uint64_t* cells = changes.keys[0].cells + 2 * i;
        int64_t window = changes.window_starts != nullptr ? changes.window_starts[i] : 0;
        GroupKey key = {window, {reinterpret_cast<const char*>(cells[0]), cells[1]}};
        double avg = std::bit_cast<double>(changes.aggregates[0].cells[i]);
        bool no_max = changes.aggregates[1].nulls[i] != 0;
        double max = no_max ? -1 : std::bit_cast<double>(changes.aggregates[1].cells[i]);
        uint8_t flags = changes.flags[number];
        ASSERT_EQ((flags & kRowNew) != 0, !rows.contains(key));
        if ((flags & kRowUnchanged) != 0) {
            ASSERT_EQ(rows.at(key), std::make_pair(avg, max));
        }
        rows[key] = {avg, max};
        if ((flags & kRowClosed) != 0) {
            ASSERT_EQ(++closed[key], 1);
        }
    }
    void remove_obsolete(SequenceRange deltas) {
        std::map<int32_t, int64_t> newest;
        for (const StoredRow& row : log) {
            if (row.kind == CheckpointKind::kSnapshot) {
                newest[row.shard] = std::max(newest[row.shard], row.sequence);
            }
        }
        std::erase_if(log, [&](const StoredRow& row) {
            if (row.kind == CheckpointKind::kSnapshot) return row.sequence < newest[row.shard];
            return row.sequence >= deltas.from && row.sequence < deltas.below;
        });
    }
};

// One reader's life after another over the same two partitions.
struct Replay {
    explicit Replay(std::vector<TableSpec> specs) : tables(std::move(specs)) {
        databases.resize(tables.size());
    }
    void start() {
        pipeline = std::make_unique<Pipeline>(stream.spec, true);
        for (size_t t = 0; t < tables.size(); t++) {
            int32_t index = -1;
            Error error = pipeline->add_table(tables[t], databases[t].progress(), &index);
            ASSERT_FALSE(error) << *error;
            databases[t].restore(*pipeline->table(index));
        }
        next_offset.assign(2, 0);
        for (int32_t p = 0; p < 2; p++) {
            PartitionProgress from = {p, 0, -1, 0, kNoTime};
            for (const PartitionProgress& known : databases[0].partitions) {
                if (known.partition == p) from = known;
            }
            next_offset[static_cast<size_t>(p)] = from.next_offset;
            pipeline->assign(from);
        }
    }
    void take(int32_t partition, int32_t count) {
        batch.clear();
        auto& topic = topics[static_cast<size_t>(partition)];
        int64_t& next = next_offset[static_cast<size_t>(partition)];
        for (; count > 0 && next < static_cast<int64_t>(topic.size()); count--, next++) {
            const std::string& value = topic[static_cast<size_t>(next)];
            batch.add(partition, next, 1000, value.data(), static_cast<int32_t>(value.size()),
                      nullptr, -1);
        }
        batch.finish();
    }
    void read(int32_t partition, int32_t count) {
        take(partition, count);
        pipeline->begin(batch, kNow);
        PipelineRequest request = pipeline->next();
        while (request.kind != PipelineRequest::Kind::kNothing) {
            for (int32_t row : *request.rows) pipeline->reject(row, "PostgreSQL says no");
            request = pipeline->next();
        }
    }
    void commit() {
        pipeline->prepare_commit(kNow);
        for (size_t t = 0; t < tables.size(); t++) {
            databases[t].write(*pipeline->table(static_cast<int32_t>(t)),
                               tables[t].kind == TableKind::kFilter);
        }
        pipeline->committed();
        ASSERT_FALSE(pipeline->has_uncommitted());
    }

    CpuStream stream;
    std::vector<TableSpec> tables;
    std::vector<Database> databases;
    std::vector<std::vector<std::string>> topics{2};
    std::vector<int64_t> next_offset;
    std::unique_ptr<Pipeline> pipeline;
    MessageBatch batch;
};

struct Reading {
    std::string host;
    double usage;
    int64_t time_us;
};

// Fills both partitions with readings that are mostly in order; hosts_count groups a window.
std::vector<std::vector<Reading>> make_readings(Replay& replay, int count, int host_count) {
    std::mt19937_64 random(11);
    std::vector<std::vector<Reading>> readings(2);
    for (int i = 0; i < count; i++) {
        size_t p = random() % 2;
        int64_t disorder = random() % 50 == 0 ? 200 : static_cast<int64_t>(random() % 8);
        Reading r = {"host" + std::to_string(random() % static_cast<uint64_t>(host_count)),
                     static_cast<double>(random() % 400) / 4,
                     (700000000 + i / 20 - disorder) * kSecond};
        replay.topics[p].push_back(cpu_message(r.host, r.usage, r.time_us));
        readings[p].push_back(r);
    }
    return readings;
}

Groups expected_groups(const std::vector<std::vector<Reading>>& readings, const Database& database,
                       int64_t window_us) {
    Groups groups;
    std::map<std::pair<int32_t, int64_t>, bool> late;
    for (auto& place : database.late) late[place] = true;
    for (int32_t p = 0; p < 2; p++) {
        for (const PartitionProgress& at : database.partitions) {
            if (at.partition != p) continue;
            for (int64_t offset = 0; offset < at.next_offset; offset++) {
                if (late.contains({p, offset})) continue;
                const Reading& r = readings[static_cast<size_t>(p)][static_cast<size_t>(offset)];
                int64_t window = window_us == 0 ? 0 : window_start(r.time_us, window_us, 0);
                Group& group = groups[{window, r.host}];
                group.sum += r.usage;
                group.count++;
                if (r.usage > 80) group.max = std::max(group.max, r.usage);
            }
        }
    }
    return groups;
}

void expect_same(const Groups& groups, const Database& database) {
    ASSERT_EQ(groups.size(), database.rows.size());
    for (auto& [key, group] : groups) {
        auto row = database.rows.find(key);
        ASSERT_NE(row, database.rows.end()) << key.first << " " << key.second;
        // Quarters: sums are exact in any order.
        ASSERT_EQ(row->second.first, group.sum / static_cast<double>(group.count));
        ASSERT_EQ(row->second.second, group.max);
    }
}

void run_with_restarts(Replay& replay, int batch_rows) {
    std::mt19937_64 random(5);
    replay.start();
    for (int turn = 0;; turn++) {
        bool done = replay.next_offset[0] == static_cast<int64_t>(replay.topics[0].size()) &&
                    replay.next_offset[1] == static_cast<int64_t>(replay.topics[1].size());
        if (done) break;
        replay.read(turn % 2, batch_rows);
        if (random() % 3 == 0) replay.commit();
        if (random() % 11 == 0) replay.start();  // what was not committed is read again
    }
    replay.commit();
}

TEST(Pipeline, TablesEqualTheirQueriesThroughRestarts) {
    Replay replay({});
    replay.tables = {replay.stream.windowed(), replay.stream.running(), replay.stream.filter()};
    replay.tables[0].allowed_lateness_us = 5 * kSecond;
    replay.databases.resize(3);
    auto readings = make_readings(replay, 12000, 30);
    run_with_restarts(replay, 150);
    expect_same(expected_groups(readings, replay.databases[0], 30 * kSecond), replay.databases[0]);
    expect_same(expected_groups(readings, replay.databases[1], 0), replay.databases[1]);
    EXPECT_FALSE(replay.databases[0].late.empty());
    EXPECT_TRUE(replay.databases[1].late.empty());
    EXPECT_FALSE(replay.databases[0].closed.empty());
    size_t over = 0;
    for (auto& partition : readings) {
        for (const Reading& r : partition) over += r.usage > 80 ? 1 : 0;
    }
    EXPECT_EQ(replay.databases[2].appended.size(), over);
}

TEST(Pipeline, EmitOnCloseWritesEachRowOnceAndFinal) {
    Replay replay({});
    replay.tables = {replay.stream.windowed(true)};
    replay.databases.resize(1);
    auto readings = make_readings(replay, 6000, 20);
    run_with_restarts(replay, 100);
    Database& database = replay.databases[0];
    replay.pipeline->table(0)->request_close();
    ASSERT_TRUE(replay.pipeline->wants_commit(kNow));
    replay.commit();
    EXPECT_EQ(database.closed.size(), database.rows.size());
    expect_same(expected_groups(readings, database, 30 * kSecond), database);
    EXPECT_EQ(replay.pipeline->table(0)->changes().row_count, 0);
    EXPECT_FALSE(replay.pipeline->has_open_windows());
}

TEST(Pipeline, TheLogStaysBoundedByTheState) {
    Replay replay({});
    replay.tables = {replay.stream.running()};
    replay.databases.resize(1);
    auto readings = make_readings(replay, 60000, 4000);
    run_with_restarts(replay, 2000);
    Database& database = replay.databases[0];
    expect_same(expected_groups(readings, database, 0), database);
    size_t bytes = 0;
    for (const StoredRow& row : database.log) bytes += row.data.size();
    EXPECT_GT(database.log.front().sequence, 1);  // the oldest changes are gone
    EXPECT_LT(bytes, size_t{4} << 20);
}

TEST(Pipeline, AnUnreadableLogIsAnErrorAndNeverAWrongState) {
    Replay replay({});
    replay.tables = {replay.stream.windowed()};
    replay.databases.resize(1);
    make_readings(replay, 400, 5);
    replay.start();
    for (int i = 0; i < 4; i++) {
        replay.read(i % 2, 50);
        replay.commit();
    }
    auto restores = [&](std::vector<StoredRow> log) {
        Pipeline pipeline(replay.stream.spec, true);
        int32_t index = 0;
        EXPECT_FALSE(pipeline.add_table(replay.tables[0], replay.databases[0].progress(), &index));
        for (const StoredRow& row : log) {
            if (pipeline.table(0)->restore({row.kind, row.shard, row.sequence, row.part,
                                            row.data.data(),
                                            static_cast<int32_t>(row.data.size())})) {
                return false;
            }
        }
        return !pipeline.table(0)->restore_done();
    };
    std::vector<StoredRow> log = replay.databases[0].log;
    ASSERT_EQ(log.size(), 4u);
    EXPECT_TRUE(restores(log));
    for (size_t i = 0; i < log.size(); i++) {
        std::vector<StoredRow> missing = log;
        missing.erase(missing.begin() + static_cast<int64_t>(i));
        EXPECT_FALSE(restores(missing));
    }
    for (size_t at = 0; at < log[1].data.size(); at += 3) {
        std::vector<StoredRow> broken = log;
        broken[1].data[at] = static_cast<char>(broken[1].data[at] ^ 4);
        EXPECT_FALSE(restores(broken)) << at;
        broken[1].data = log[1].data.substr(0, at);
        EXPECT_FALSE(restores(broken)) << at;
    }
}

TEST(Pipeline, BadMessagesAreDeadLettersAndMoveNothing) {
    Replay replay({});
    replay.tables = {replay.stream.windowed()};
    replay.databases.resize(1);
    replay.start();
    replay.topics[0] = {
        "{\"hostname\": ",
        "{\"hostname\": \"doc\", \"usage\": 1}",
        cpu_message("doc", 1, kNow + 7200 * kSecond),
        "",
        cpu_message("doc", 50, 700000000 * kSecond),
    };
    replay.read(0, 10);
    auto& letters = replay.pipeline->dead_letters();
    ASSERT_EQ(letters.size(), 4u);
    std::map<int64_t, std::string> reasons;
    for (const DeadLetter& letter : letters) reasons[letter.offset] = letter.reason;
    EXPECT_EQ(reasons[1], "event time is missing");
    EXPECT_EQ(reasons[2],
              "event time 2025-05-08 08:13:20 UTC is more than 01:00:00 ahead of the clock");
    EXPECT_EQ(replay.pipeline->good_rows(), std::vector<int32_t>{4});
    EXPECT_EQ(replay.pipeline->table(0)->clock().max_event_time(0), 700000000 * kSecond);
    EXPECT_EQ(replay.pipeline->positions()[0].next_offset, 5);
    replay.commit();
    EXPECT_EQ(replay.databases[0].rows.size(), 1u);
}

TEST(Pipeline, WhatIsPutAsideIsADeadLetterThatNobodyHasLookedAt) {
    Replay replay({});
    replay.tables = {replay.stream.windowed()};
    replay.databases.resize(1);
    replay.start();
    replay.topics[0] = {cpu_message("doc", 1, kNow), cpu_message("dopey", 2, kNow)};
    replay.take(0, 1);
    replay.pipeline->put_aside(replay.batch, "it ended the worker");
    auto& letters = replay.pipeline->dead_letters();
    ASSERT_EQ(letters.size(), 1u);
    EXPECT_STREQ(letters[0].reason, "it ended the worker");
    EXPECT_EQ(std::string(letters[0].value, static_cast<size_t>(letters[0].value_size)),
              replay.topics[0][0]);
    EXPECT_EQ(replay.pipeline->positions()[0].next_offset, 1);
    EXPECT_EQ(replay.pipeline->table(0)->clock().max_event_time(0), kNoTime);
    replay.commit();
    EXPECT_TRUE(replay.databases[0].rows.empty());
    replay.read(0, 1);
    replay.commit();
    EXPECT_EQ(replay.databases[0].rows.size(), 1u);
}

TEST(Pipeline, TheRowWithoutKeysIsThereFromTheStart) {
    Replay replay({});
    TableSpec total = replay.stream.running();
    total.key_count = 0;
    Pipeline pipeline(replay.stream.spec, true);
    int32_t index = 0;
    ASSERT_FALSE(pipeline.add_table(total, {nullptr, 0, kNoTime, 0}, &index));
    ASSERT_FALSE(pipeline.table(0)->restore_done());
    EXPECT_TRUE(pipeline.wants_commit(kNow));
    pipeline.prepare_commit(kNow);
    const TableChanges& changes = pipeline.table(0)->changes();
    ASSERT_EQ(changes.row_count, 1);
    EXPECT_EQ(changes.flags[0], kRowNew);
    EXPECT_EQ(changes.aggregates[0].nulls[0], 1);
    pipeline.committed();
    EXPECT_FALSE(pipeline.wants_commit(kNow));
}

// Late is what would go into a window whose end and lateness the last commit's watermark reached.
TEST(Pipeline, LatenessIsExactAndJudgedAtTheLastCommit) {
    Replay replay({});
    replay.tables = {replay.stream.windowed()};
    replay.tables[0].allowed_lateness_us = 5 * kSecond;
    replay.databases.resize(1);
    replay.start();
    int64_t start = window_start(700000000 * kSecond, 30 * kSecond, 0);
    auto lates_at = [&](int64_t seconds) {  // after a commit with the watermark there
        int64_t event = start + (seconds + 10) * kSecond;
        for (auto& topic : replay.topics) topic.push_back(cpu_message("a", 1, event));
        replay.read(0, 10);
        replay.read(1, 10);
        replay.topics[0].push_back(cpu_message("b", 1, start));
        replay.read(0, 10);  // not committed yet: never late
        replay.commit();
        size_t before = replay.databases[0].late.size();
        replay.topics[0].push_back(cpu_message("b", 1, start));
        replay.read(0, 10);
        replay.commit();
        return replay.databases[0].late.size() - before;
    };
    EXPECT_EQ(lates_at(34), 0u);
    EXPECT_EQ(lates_at(35), 1u);
    EXPECT_EQ(replay.databases[0].watermark, start + 35 * kSecond);
    EXPECT_EQ(replay.databases[0].closed.at({start, "b"}), 1);
}

// Expressions that are not native: only the rows that need a value are asked for.
TEST(Pipeline, PostgresIsAskedOnlyForRowsThatTheTableSelects) {
    Replay replay({});
    TableSpec table = replay.stream.filter();
    ExprSpec foreign = {nullptr, 0, Type::kText};
    table.outputs = &foreign;
    replay.tables = {table};
    replay.databases.resize(1);
    replay.start();
    for (double usage : {10.0, 90.0, 20.0, 95.0}) {
        replay.topics[0].push_back(cpu_message("doc", usage, 700000000 * kSecond));
    }
    MessageBatch batch;
    for (int32_t i = 0; i < 4; i++) {
        const std::string& value = replay.topics[0][static_cast<size_t>(i)];
        batch.add(0, i, 1000, value.data(), static_cast<int32_t>(value.size()), nullptr, -1);
    }
    batch.finish();
    replay.pipeline->begin(batch, kNow);
    PipelineRequest request = replay.pipeline->next();
    ASSERT_EQ(request.kind, PipelineRequest::Kind::kEvaluate);
    EXPECT_EQ(request.table, 0);
    EXPECT_EQ(request.expression, 1);
    ASSERT_EQ(*request.rows, (std::vector<int32_t>{1, 3}));
    uint64_t cells[2] = {reinterpret_cast<uint64_t>("made above"), 10};
    replay.pipeline->put_value(1, 0, cells);
    replay.pipeline->reject(3, "division by zero");
    ASSERT_EQ(replay.pipeline->next().kind, PipelineRequest::Kind::kNothing);
    replay.pipeline->prepare_commit(kNow);
    const TableChanges& changes = replay.pipeline->table(0)->changes();
    ASSERT_EQ(changes.dead_letter_count, 1);
    EXPECT_STREQ(changes.dead_letters[0].reason, "division by zero");
    replay.databases[0].write(*replay.pipeline->table(0), true);
    EXPECT_EQ(replay.databases[0].appended, std::vector<std::string>{"made above"});
    EXPECT_TRUE(replay.pipeline->dead_letters().empty());
}

}  // namespace
}  // namespace anomaly
