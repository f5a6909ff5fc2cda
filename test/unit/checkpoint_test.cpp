// Goal: a payload comes in full rows that can be read again, however large one group of it is, and
// whatever the receiver writes into the room before them.
#include "core/table/checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace anomaly {
namespace {

constexpr int kGroups = 3000;

std::vector<Type> text_key() {
    return {Type::kText};
}

// Mostly short, and now and then longer than several rows.
std::string key_of(std::mt19937& random, int i) {
    const size_t size = random() % 300 == 0 ? random() % 100000 : random() % 30;
    return std::to_string(i) + std::string(size, 'k');
}

std::map<std::string, int64_t> groups_of(const GroupStore& store) {
    std::map<std::string, int64_t> groups;
    for (int32_t shard = 0; shard < kShardCount; shard++) {
        std::vector<uint32_t> slots;
        store.groups().append_slots_of_shard(shard, slots);
        for (const uint32_t slot : slots)
            groups[std::string(store.groups().key(slot))] = store.groups().window_start(slot);
    }
    return groups;
}

// As it is stored, with the receiver's bytes before it.
std::string stored(const CheckpointRow& row) {
    char* room = const_cast<char*>(row.data) - kCheckpointRoomBytes;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(room) % kCheckpointRoomBytes, 0U);
    std::memset(room, 0xff, kCheckpointRoomBytes);
    return {row.data, static_cast<size_t>(row.size)};
}

TEST(CheckpointPayload, ComesInFullRowsThatAreReadAgain) {
    GroupStore store(text_key(), {});
    std::vector<Column> columns(1, Column(Type::kText));
    columns[0].assign_nulls(1);
    std::mt19937 random(11);
    for (int i = 0; i < kGroups; i++) {
        const std::string key = key_of(random, i);
        columns[0].set_text(0, key);
        store.touch(static_cast<int64_t>(random() % 4) * 1000, {&columns[0]}, 0);
    }
    CheckpointPayload payload(store);
    GroupStore read(text_key(), {});
    SnapshotSchedule schedule;
    CheckpointRestore restore(read, schedule, INT64_MIN);
    store.sort_changed();
    payload.begin_delta(store.changed(), 42, 1);
    int64_t bytes = 0;
    int32_t size = 0;
    while (const CheckpointRow* row = payload.next()) {
        EXPECT_EQ(bytes, int64_t{size} * row->part) << "all but the last are as large";
        ASSERT_LE(row->size, kCheckpointRowBytes);
        CheckpointRow kept = *row;
        const std::string data = stored(*row);
        kept.data = data.data();
        const Error error = restore.add(kept);
        ASSERT_FALSE(error) << *error;
        size = row->size;
        bytes += size;
    }
    EXPECT_GT(bytes, 20 * kCheckpointRowBytes);
    EXPECT_EQ(payload.next(), nullptr);
    const Error error = restore.finish(1, 42);
    ASSERT_FALSE(error) << *error;
    EXPECT_EQ(groups_of(read), groups_of(store));
}

}  // namespace
}  // namespace anomaly
