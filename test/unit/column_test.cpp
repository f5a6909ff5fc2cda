// The arena, columns and the message batch: bytes stay where they were said to stay.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "core/data/column.h"
#include "core/data/message.h"

namespace anomaly {
namespace {

TEST(Arena, KeepsEveryAllocationApartUntilReset) {
    Arena arena;
    std::vector<std::string_view> views;
    std::vector<std::string> expected;
    for (size_t i = 0; i < 2000; i++) {
        expected.emplace_back(i % 300, static_cast<char>('a' + i % 26));
        views.push_back(arena.copy(expected.back()));
    }
    for (size_t i = 0; i < views.size(); i++) EXPECT_EQ(views[i], expected[i]);
}

TEST(Arena, TakesAnAllocationLargerThanAnyBlock) {
    Arena arena;
    std::string_view small = arena.copy("small");
    std::string large(size_t{9} << 20, 'x');
    EXPECT_EQ(arena.copy(large), large);
    EXPECT_EQ(small, "small");
    EXPECT_EQ(arena.bytes_used(), large.size() + 5);
}

TEST(Arena, ResetKeepsTheMemory) {
    Arena arena;
    size_t reserved_first = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) std::memset(arena.allocate(5000), 1, 5000);
        EXPECT_EQ(arena.bytes_used(), 500'000u);
        if (round == 0) reserved_first = arena.bytes_reserved();
        EXPECT_EQ(arena.bytes_reserved(), reserved_first);
        arena.reset();
        EXPECT_EQ(arena.bytes_used(), 0u);
    }
}

TEST(Arena, EmptyTextIsNotNull) {
    Arena arena;
    EXPECT_NE(arena.copy("").data(), nullptr);
}

TEST(Column, RowsAreNullUntilSet) {
    Column text(Type::kText);
    text.assign_nulls(3);
    text.set_text(1, "middle");
    EXPECT_TRUE(text.is_null(0));
    EXPECT_FALSE(text.is_null(1));
    EXPECT_EQ(text.text_at(1), "middle");
    EXPECT_EQ(text.cells.size(), 6u);
    EXPECT_EQ(text.row_count(), 3);

    Column number(Type::kInt8);
    number.assign_nulls(2);
    number.set_int(0, -7);
    EXPECT_EQ(number.int_at(0), -7);
    number.set_float(1, -0.5);
    EXPECT_EQ(number.float_at(1), -0.5);
}

TEST(MessageBatch, TellsNullFromEmpty) {
    MessageBatch batch;
    batch.add(1, 10, 1000, "value", 5, "k", 1);
    batch.add(2, 11, -1, nullptr, -1, nullptr, -1);
    batch.add(3, 12, 0, "", 0, "", 0);
    batch.finish();
    ASSERT_EQ(batch.size(), 3);
    EXPECT_EQ(batch.value(0), "value");
    EXPECT_EQ(batch.key(0), "k");
    EXPECT_EQ(batch[0].offset, 10);
    EXPECT_EQ(batch[0].timestamp_ms, 1000);
    EXPECT_EQ(batch.value(1).data(), nullptr);
    EXPECT_EQ(batch.key(1).data(), nullptr);
    EXPECT_EQ(batch[1].value_size, -1);
    EXPECT_NE(batch.value(2).data(), nullptr);
    EXPECT_EQ(batch.value(2).size(), 0u);
    EXPECT_EQ(batch[2].partition, 3);
}

TEST(MessageBatch, PadsTheLastValue) {
    MessageBatch batch;
    batch.add(0, 0, 0, "x", 1, nullptr, -1);
    batch.finish();
    EXPECT_EQ(batch.bytes(), 1 + MessageBatch::kPadding);
    EXPECT_EQ(batch.value(0).data()[MessageBatch::kPadding], '\0');
    batch.clear();
    EXPECT_EQ(batch.size(), 0);
    EXPECT_EQ(batch.bytes(), 0u);
}

}  // namespace
}  // namespace anomaly
