// Groups by window and key: the same key finds the same slot, closing a window frees its groups
// alone, and a group costs what the architecture allows.
#include "core/group/group_store.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <ctime>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>

#include "core/table/checkpoint.h"

namespace anomaly {
namespace {

TEST(GroupTable, AgreesWithAMapThroughClosingAndReuse) {
    GroupTable table(0, 8);
    std::map<std::pair<int64_t, std::string>, uint32_t> expected;
    std::mt19937_64 random(7);
    int64_t oldest = 0;
    for (int step = 0; step < 60000; step++) {
        int64_t window = oldest + static_cast<int64_t>(random() % 5);
        std::string key = "key " + std::to_string(random() % 700);
        bool added = false;
        uint32_t slot = table.find_or_add(window, key, &added);
        auto [found, is_new] = expected.try_emplace({window, key}, slot);
        ASSERT_EQ(added, is_new);
        ASSERT_EQ(found->second, slot);
        ASSERT_EQ(table.key(slot), key);
        if (random() % 2000 != 0) continue;
        table.free_window(oldest);
        std::erase_if(expected, [&](const auto& group) { return group.first.first == oldest; });
        oldest++;
        ASSERT_EQ(table.size(), expected.size());
    }
    EXPECT_LT(table.memory_bytes(), 5 * 700 * 64u);
    std::set<uint32_t> slots;
    for (int32_t shard = 0; shard < kShardCount; shard++) {
        std::vector<uint32_t> of_shard;
        table.append_slots_of_shard(shard, of_shard);
        for (uint32_t slot : of_shard) {
            EXPECT_EQ(shard_of(table.hash(slot)), shard);
            EXPECT_TRUE(slots.insert(slot).second);
        }
    }
    EXPECT_EQ(slots.size(), expected.size());
}

uint32_t hash_of(int64_t window_start, std::string_view key) {
    return group_hash(window_start, key_hash(key));
}

TEST(GroupTable, HashIsPartOfTheCheckpointFormat) {
    EXPECT_NE(hash_of(0, "a"), hash_of(1, "a"));
    EXPECT_NE(hash_of(0, std::string_view("\0", 1)), hash_of(0, ""));
    // Shorter than a word, a word, a word and some, several.
    EXPECT_EQ(hash_of(1234567, ""), 2626834005U);
    EXPECT_EQ(hash_of(1234567, "sevenby"), 1612753383U);
    EXPECT_EQ(hash_of(1234567, "eightbyt"), 2205328792U);
    EXPECT_EQ(hash_of(1234567, "nine byte"), 1050716960U);
    EXPECT_EQ(hash_of(725000000, "doc cpu0 12345"), 857591079U);
    EXPECT_EQ(hash_of(1234567, "a key of twenty-two by"), 3135271582U);
}

TEST(GroupTable, KeysInSequenceSpreadOverAllShards) {
    int counts[kShardCount] = {};
    for (int64_t i = 0; i < 64000; i++) {
        std::string key(reinterpret_cast<const char*>(&i), sizeof i);
        counts[shard_of(hash_of(0, key))]++;
    }
    for (int count : counts) {
        EXPECT_GT(count, 800);
        EXPECT_LT(count, 1200);
    }
}

std::vector<const Column*> pointers(const std::vector<Column>& columns) {
    std::vector<const Column*> result;
    for (const Column& column : columns) result.push_back(&column);
    return result;
}

TEST(GroupKey, ZerosAndNansAreOneGroupAndTheFirstSeenShows) {
    GroupStore store({Type::kFloat8, Type::kText}, {});
    std::vector<Column> columns = {Column(Type::kFloat8), Column(Type::kText)};
    for (Column& column : columns) column.assign_nulls(6);
    columns[0].set_float(0, -0.0);
    columns[0].set_float(1, 0.0);
    columns[0].set_float(2, std::numeric_limits<double>::quiet_NaN());
    columns[0].set_float(3, -std::numeric_limits<double>::quiet_NaN());
    columns[1].set_text(5, "");
    uint32_t zero = store.touch(0, pointers(columns), 0);
    EXPECT_EQ(store.touch(0, pointers(columns), 1), zero);
    uint32_t nan = store.touch(0, pointers(columns), 2);
    EXPECT_EQ(store.touch(0, pointers(columns), 3), nan);
    uint32_t null = store.touch(0, pointers(columns), 4);
    EXPECT_NE(store.touch(0, pointers(columns), 5), null);  // NULL and '' differ
    std::vector<Column> keys, aggregates;
    std::vector<uint8_t> failed;
    store.columns(std::vector<uint32_t>{zero, nan, null}, keys, aggregates, failed);
    EXPECT_TRUE(std::signbit(keys[0].float_at(0)));
    EXPECT_TRUE(std::isnan(keys[0].float_at(1)));
    EXPECT_TRUE(keys[0].is_null(2));
}

TEST(GroupStore, AGroupOfTwoAggregatesTakesAtMostEightyBytes) {
    std::vector<std::unique_ptr<Aggregate>> aggregates;
    aggregates.push_back(make_aggregate(AggregateKind::kAvg, Type::kFloat8));
    aggregates.push_back(make_aggregate(AggregateKind::kMax, Type::kFloat8));
    GroupStore store({Type::kText, Type::kText}, std::move(aggregates));
    std::vector<Column> columns(2, Column(Type::kText));
    for (Column& column : columns) column.assign_nulls(1);
    const int count = 200000;
    for (int i = 0; i < count; i++) {
        std::string host = "host" + std::to_string(i % 20000);
        columns[0].set_text(0, host);
        columns[1].set_text(0, "cpu0");
        store.touch(i / 20000, pointers(columns), 0);
        if (i % 1000 == 0) store.clear_changed();
    }
    EXPECT_EQ(store.groups().size(), static_cast<uint32_t>(count));
    EXPECT_LE(store.memory_bytes() / count, 80u);
}

std::vector<std::unique_ptr<Aggregate>> one_count() {
    std::vector<std::unique_ptr<Aggregate>> aggregates;
    aggregates.push_back(make_aggregate(AggregateKind::kCountStar, Type::kBool));
    return aggregates;
}

// Shards come one after the other, so that their groups are in the order of the index.
TEST(GroupStore, IsReadFromItsSnapshotsAboutAsQuicklyAsItWasMade) {
    const int count = 200000;
    GroupStore store({Type::kText}, one_count());
    std::vector<Column> columns(1, Column(Type::kText));
    columns[0].assign_nulls(1);
    std::clock_t begun = std::clock();
    for (int i = 0; i < count; i++) {
        std::string host = "host" + std::to_string(i);
        columns[0].set_text(0, host);
        store.touch(0, pointers(columns), 0);
    }
    const std::clock_t made = std::clock() - begun;

    GroupStore read({Type::kText}, one_count());
    SnapshotSchedule schedule;
    CheckpointRestore restore(read, schedule, INT64_MIN);
    std::vector<std::pair<CheckpointRow, std::string>> rows;
    CheckpointPayload payload(store);
    for (int32_t shard = 0; shard < kShardCount; shard++) {
        std::vector<uint32_t> slots;
        store.groups().append_slots_of_shard(shard, slots);
        payload.begin_snapshot(slots, shard, 1);
        while (const CheckpointRow* row = payload.next())
            rows.emplace_back(*row, std::string(row->data, static_cast<size_t>(row->size)));
    }
    begun = std::clock();
    for (auto& [row, data] : rows) {
        row.data = data.data();
        ASSERT_FALSE(restore.add(row));
    }
    EXPECT_LE(std::clock() - begun, 10 * made);
    EXPECT_EQ(read.groups().size(), static_cast<uint32_t>(count));
}

// Both ways to sort: few of all groups are changed, and many.
TEST(GroupStore, ChangedGroupsAreInTheOrderOfTheirMemory) {
    GroupStore store({Type::kInt8}, {});
    std::vector<Column> keys{Column(Type::kInt8)};
    keys[0].assign_nulls(1);
    auto touch = [&](int64_t key) {
        keys[0].set_int(0, key);
        return store.touch(0, pointers(keys), 0);
    };
    for (int64_t key = 0; key < 100000; key++) touch(key);
    for (size_t count : {20, 90000}) {
        store.clear_changed();
        std::set<uint32_t> expected;
        for (size_t i = 0; i < count; i++)
            expected.insert(touch(static_cast<int64_t>(i * 7) % 100000));
        ASSERT_EQ(store.changed().size(), expected.size());
        store.sort_changed();
        EXPECT_EQ(store.changed(), std::vector<uint32_t>(expected.begin(), expected.end()));
    }
}

TEST(GroupRows, RowsOfAnySizeKeepTheirKeysAndTheirPlace) {
    GroupRows rows(13);
    GroupRows::Region regions[2];
    std::vector<std::pair<uint32_t, std::string>> expected[2];
    std::mt19937_64 random(3);
    for (int i = 0; i < 20000; i++) {
        const size_t r = random() % 2;
        // Now and then larger than any piece of memory.
        const size_t size = random() % 1000 == 0 ? 100000 + random() % 100000 : random() % 200;
        std::string key(size, static_cast<char>('a' + i % 26));
        const uint32_t slot = rows.add(regions[r], static_cast<int64_t>(r), key);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(rows.at(slot)) % 8, 0u);
        std::memset(rows.at(slot), 0xff, 13);
        expected[r].emplace_back(slot, key);
    }
    for (size_t r : {0, 1}) {
        std::vector<uint32_t> slots;
        rows.append_slots(regions[r], slots);
        ASSERT_EQ(slots.size(), expected[r].size());
        for (size_t i = 0; i < slots.size(); i++) {
            ASSERT_EQ(slots[i], expected[r][i].first);
            ASSERT_EQ(rows.key(slots[i]), expected[r][i].second);
            ASSERT_EQ(rows.window_start(slots[i]), static_cast<int64_t>(r));
        }
    }
    const size_t both = rows.memory_bytes();
    rows.free(regions[0]);
    EXPECT_LT(rows.memory_bytes(), both * 2 / 3);
    EXPECT_EQ(rows.key(expected[1][7].first), expected[1][7].second);
    // The numbers of the freed are used again.
    uint32_t slot = 0;
    for (int i = 0; i < 1000; i++) slot = rows.add(regions[0], 7, std::string(100, 'z'));
    EXPECT_LE(slot, expected[1].back().first);
    EXPECT_EQ(rows.window_start(slot), 7);
}

TEST(GroupStore, MemoryIsGivenBackWhenMostGroupsAreGone) {
    GroupStore store({Type::kText}, one_count());
    std::vector<Column> columns(1, Column(Type::kText));
    columns[0].assign_nulls(1);
    for (int i = 0; i < 200000; i++) {
        std::string host = "host" + std::to_string(i);
        columns[0].set_text(0, host);
        const uint32_t slot = store.touch(i % 10 == 0 ? 1 : 0, pointers(columns), 0);
        char* group = store.groups().row(slot);
        for (int n = 0; n < i % 7; n++) store.aggregate(0).update({&group, 1}, {{0}}, nullptr);
        if (i % 20 == 0) store.set_written(slot);
    }
    size_t full = store.memory_bytes();
    store.clear_changed();
    store.free_window(0);
    EXPECT_EQ(store.groups().size(), 20000u);
    EXPECT_LT(store.memory_bytes(), full / 4);
    std::vector<uint32_t> slots;
    store.groups().append_slots_of_window(1, slots);
    ASSERT_EQ(slots.size(), 20000u);
    std::vector<Column> keys, results;
    std::vector<uint8_t> failed;
    store.columns(slots, keys, results, failed);
    for (int32_t row = 0; row < 20000; row++) {
        int i = std::stoi(std::string(keys[0].text_at(row).substr(4)));
        ASSERT_EQ(results[0].int_at(row), i % 7);
        ASSERT_EQ(store.is_written(slots[static_cast<size_t>(row)]), i % 20 == 0);
    }
}

}  // namespace
}  // namespace anomaly
