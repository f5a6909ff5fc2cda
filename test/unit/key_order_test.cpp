// The order of a commit's rows is that of their values, whatever the types, how long the texts are
// and how far they are alike.
#include "core/group/key_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <tuple>

#include "core/group/group_store.h"

namespace anomaly {
namespace {

// Groups made one after the other; keys as set by the caller in row 0 of the columns.
class Groups {
  public:
    explicit Groups(std::vector<Type> types) : types_(types), store_(types, {}) {
        for (Type type : types) columns_.emplace_back(type).assign_nulls(1);
        for (const Column& column : columns_) keys_.push_back(&column);
    }
    Column& key(size_t k) { return columns_[k]; }
    uint32_t add(int64_t window_start) { return store_.touch(window_start, keys_, 0); }

    void sort(std::vector<uint32_t>& slots, std::vector<int32_t> columns) {
        KeyOrder(types_, std::move(columns)).sort(store_.groups().rows(), slots);
    }
    // Adds one group for each value, in any order, and expects them back in this one.
    template <class Value, class Set>
    void expect_order(const std::vector<Value>& values, Set set) {
        std::vector<size_t> order(values.size());
        for (size_t i = 0; i < order.size(); i++) order[i] = i;
        std::shuffle(order.begin(), order.end(), std::mt19937_64(5));
        std::vector<uint32_t> expected(values.size()), slots;
        for (size_t i : order) {
            set(key(0), values[i]);
            expected[i] = add(0);
            slots.push_back(expected[i]);
        }
        sort(slots, {0});
        EXPECT_EQ(slots, expected);
    }

  private:
    std::vector<Type> types_;
    std::vector<Column> columns_;
    std::vector<const Column*> keys_;
    GroupStore store_;
};

TEST(KeyOrder, NumbersAreInOrder) {
    const std::vector<int64_t> ints = {INT64_MIN, -256, -1, 0, 1, 255, 256, INT64_MAX};
    Groups(std::vector{Type::kInt8}).expect_order(ints, [](Column& column, int64_t value) {
        column.set_int(0, value);
    });
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const std::vector<double> floats = {-kInfinity, -1e300, -2,    -1e-300,   0,
                                        1e-300,     2,      1e300, kInfinity, std::nan("")};
    Groups(std::vector{Type::kFloat8}).expect_order(floats, [](Column& column, double value) {
        column.set_float(0, value);
    });
}

// Shorter and longer than what is compared at a time, and alike for longer than that.
TEST(KeyOrder, TextsAreInTheOrderOfTheirBytes) {
    std::vector<std::string> texts = {"", "a", "a b", "host1", "host10", "host2", "\xc3\xa4"};
    for (int i = 0; i < 300; i++) {
        const std::string number = std::to_string(i);
        texts.push_back("a long path that all have in common/" + number);
        texts.push_back(std::string(static_cast<size_t>(i), 'x') + number);
        texts.push_back("the same at its begin " + number + " and at its end of some length");
    }
    std::sort(texts.begin(), texts.end());
    texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
    Groups(std::vector{Type::kText}).expect_order(texts, [](Column& column, auto& value) {
        column.set_text(0, value);
    });
}

// Texts may be long, each with a little more in common with the next one: nobody has the time.
TEST(KeyOrder, WhatLiesFarBehindDoesNotCount) {
    Groups groups({Type::kText});
    std::vector<uint32_t> slots;
    for (size_t i = 0; i < 2000; i++) {
        const std::string text = std::string(1000 + 13 * i, 'x') + "y";
        groups.key(0).set_text(0, text);
        slots.push_back(groups.add(0));
    }
    std::vector<uint32_t> sorted = slots;
    groups.sort(sorted, {0});
    EXPECT_TRUE(std::is_permutation(sorted.begin(), sorted.end(), slots.begin()));
    // Few are left in their order where nothing else makes one.
    for (std::vector<uint32_t> two : {std::vector{slots[0], slots[1]}, {slots[1], slots[0]}}) {
        sorted = two;
        groups.sort(sorted, {0});
        EXPECT_EQ(sorted, two);
    }
}

TEST(KeyOrder, BytesThatAreZeroEndIt) {
    Groups groups({Type::kBytea});
    std::vector<uint32_t> slots;
    for (size_t size : {40, 3, 17, 0, 33, 16}) {
        const std::string zeros(size, '\0');
        groups.key(0).set_text(0, zeros);
        slots.push_back(groups.add(0));
    }
    std::vector<uint32_t> sorted = slots;
    groups.sort(sorted, {0});
    EXPECT_TRUE(std::is_permutation(sorted.begin(), sorted.end(), slots.begin()));
}

TEST(KeyOrder, WithoutColumnsNothingMoves) {
    Groups groups({Type::kInt8});
    std::vector<uint32_t> slots;
    for (int64_t value : {3, 1, 2}) {
        groups.key(0).set_int(0, value);
        slots.push_back(groups.add(0));
    }
    std::vector<uint32_t> sorted = slots;
    groups.sort(sorted, {});
    EXPECT_EQ(sorted, slots);
}

// Beside several columns in another order than the keys, the window between them; NULLs last.
TEST(KeyOrder, ColumnsCountInTheirOrder) {
    Groups groups({Type::kInt4, Type::kText});
    std::mt19937_64 random(9);
    using Key = std::tuple<bool, std::string, int64_t, bool, int64_t>;
    std::vector<std::pair<Key, uint32_t>> expected;
    std::vector<uint32_t> slots;
    for (int i = 0; i < 5000; i++) {
        const int64_t window = static_cast<int64_t>(random() % 5) - 2;
        const int64_t number = static_cast<int64_t>(random() % 9) - 4;
        const std::string text = "of thirty series number " + std::to_string(random() % 30);
        const bool no_number = random() % 9 == 0, no_text = random() % 9 == 0;
        groups.key(0).set_int(0, number);
        groups.key(1).set_text(0, text);
        if (no_number) groups.key(0).set_null(0);
        if (no_text) groups.key(1).set_null(0);
        const uint32_t slot = groups.add(window);
        const Key key = {no_text, no_text ? "" : text, window, no_number, no_number ? 0 : number};
        expected.emplace_back(key, slot);
    }
    std::sort(expected.begin(), expected.end());
    expected.erase(std::unique(expected.begin(), expected.end()), expected.end());
    std::vector<uint32_t> wanted;
    for (const auto& [key, slot] : expected) wanted.push_back(slot);
    slots = wanted;
    std::shuffle(slots.begin(), slots.end(), random);
    groups.sort(slots, {1, kWindowColumn, 0});
    EXPECT_EQ(slots, wanted);
}

}  // namespace
}  // namespace anomaly
