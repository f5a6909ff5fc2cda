// Kept values: what is written as changes and as a whole comes back the same, distinct values are
// kept once, a state takes the place of what it was made of, and the memory is counted.
#include "core/group/kept_values.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "core/group/group_store.h"
#include "one_group.h"

namespace anomaly {
namespace {

constexpr KeptOptions kPlain = {.folds = false, .distinct = false, .counts = false};
constexpr KeptOptions kDistinct = {.folds = false, .distinct = true, .counts = false};
constexpr KeptOptions kFolds = {.folds = true, .distinct = false, .counts = false};
constexpr KeptOptions kCounts = {.folds = false, .distinct = true, .counts = true};

// A batch of messages of one partition, with a text column.
struct Rows {
    explicit Rows(std::vector<const char*> values, int64_t first_offset = 0) : column(Type::kText) {
        column.assign_nulls(static_cast<int32_t>(values.size()));
        for (size_t i = 0; i < values.size(); i++) {
            int64_t offset = first_offset + static_cast<int64_t>(i);
            batch.add(7, offset, -1, "", 0, nullptr, -1);
            if (values[i] != nullptr) column.set_text(static_cast<int32_t>(i), values[i]);
        }
        batch.finish();
        rows.assign_each(batch);
    }
    void into(OneGroup& kept) { into(*kept.operator->(), kept.row()); }
    void into(Aggregate& aggregate, char* group) {
        aggregate.begin_batch(rows);
        for (int32_t row = 0; row < column.row_count(); row++) {
            aggregate.update({&group, 1}, {{row}}, &column);
        }
    }
    MessageBatch batch;
    MessageRows rows;
    Column column;
};

std::unique_ptr<Aggregate> make(const KeptOptions& options, Type type = Type::kText) {
    return make_kept_values(type, options);
}

std::string image(OneGroup& kept) {
    Column out(kept->result_type());
    out.assign_nulls(1);
    EXPECT_TRUE(kept->result(kept.row(), out, 0));
    return out.is_null(0) ? std::string() : std::string(out.text_at(0));
}

int64_t count(OneGroup& kept) {
    Column out(Type::kInt8);
    out.assign_nulls(1);
    EXPECT_TRUE(kept->result(kept.row(), out, 0));
    return out.int_at(0);
}

// Writes with one, reads into the other.
template <class Write, class Read>
void carry(Write write, Read read) {
    ByteWriter out;
    write(out);
    ByteReader in(out.view());
    read(in);
    EXPECT_TRUE(in.ok() && in.at_end());
}

TEST(KeptValues, EntriesHavePlaceAndValue) {
    OneGroup kept(make(kPlain));
    EXPECT_EQ(image(kept), "");
    Rows({"ab", nullptr, ""}, 5).into(kept);
    EXPECT_EQ(image(kept), std::string("\x07\x05\x03"
                                       "ab\x07\x06\x00\x07\x07\x01",
                                       11));
}

TEST(KeptValues, ChangesAddUpToTheWhole) {
    for (const KeptOptions& options : {kPlain, kDistinct}) {
        OneGroup kept(make(options));
        OneGroup follower(make(options));
        for (int64_t turn = 0; turn < 5; turn++) {
            Rows({"a", "b", nullptr, turn % 2 != 0 ? "odd" : "even"}, turn * 4).into(kept);
            carry([&](ByteWriter& out) { kept->write_change(kept.row(), out); },
                  [&](ByteReader& in) { follower->read_change(follower.row(), in); });
            kept->settle(kept.row());
        }
        EXPECT_EQ(image(kept), image(follower));
        OneGroup copy(make(options));
        Rows({"gone"}).into(copy);
        carry([&](ByteWriter& out) { kept->write(kept.row(), out); },
              [&](ByteReader& in) { copy->read(copy.row(), in); });
        EXPECT_EQ(image(kept), image(copy));
        // What is read goes on as what was written.
        Rows({"b", "new"}, 100).into(kept);
        Rows({"b", "new"}, 100).into(copy);
        EXPECT_EQ(image(kept), image(copy));
    }
}

TEST(KeptValues, NothingNewIsNoChange) {
    OneGroup kept(make(kPlain));
    Rows({"a"}).into(kept);
    kept->settle(kept.row());
    ByteWriter out;
    kept->write_change(kept.row(), out);
    EXPECT_EQ(out.size(), 2U);
}

TEST(KeptValues, DistinctValuesAreKeptOnce) {
    OneGroup kept(make(kDistinct));
    OneGroup counted(make(kCounts));
    std::mt19937 random(1);
    std::set<std::string> seen;
    for (int turn = 0; turn < 2000; turn++) {
        std::string value = std::to_string(random() % 500);
        seen.insert(value);
        Rows({value.c_str(), nullptr}, turn).into(kept);
        Rows({value.c_str(), nullptr}, turn).into(counted);
    }
    EXPECT_EQ(count(counted), static_cast<int64_t>(seen.size()));
    std::string first = image(kept);
    Rows({"17", nullptr}, 5000).into(kept);
    EXPECT_EQ(image(kept), first);
}

TEST(KeptValues, EqualFloatsCountOnce) {
    OneGroup counted(make(kCounts, Type::kFloat8));
    Column column(Type::kFloat8);
    column.assign_nulls(6);
    const double values[] = {0.0, -0.0, std::nan("1"), -std::nan("2"), 1.5};
    MessageBatch batch;
    for (int32_t row = 0; row < 6; row++) {
        batch.add(0, row, -1, "", 0, nullptr, -1);
        if (row < 5) column.set_float(row, values[row]);
    }
    batch.finish();
    MessageRows rows;
    rows.assign_each(batch);
    counted->begin_batch(rows);
    for (int32_t row = 0; row < 6; row++) counted.take(column, row);
    EXPECT_EQ(count(counted), 3);
}

TEST(KeptValues, AStateTakesThePlaceOfItsEntries) {
    OneGroup kept(make(kFolds));
    Rows({"a", "b"}).into(kept);
    EXPECT_EQ(image(kept), "");
    EXPECT_FALSE(kept->pending(kept.row()).entries.empty());
    kept->put_state(kept.row(), "state");
    EXPECT_TRUE(kept->pending(kept.row()).entries.empty());
    EXPECT_EQ(kept->pending(kept.row()).state, "state");
    OneGroup copy(make(kFolds));
    carry([&](ByteWriter& out) { kept->write_change(kept.row(), out); },
          [&](ByteReader& in) { copy->read_change(copy.row(), in); });
    EXPECT_EQ(image(copy), "state");
}

TEST(KeptValues, MemoryIsCountedAndGivenBack) {
    OneGroup kept(make(kDistinct));
    size_t empty = kept->memory_bytes();
    std::string large(10000, 'x');
    Rows({large.c_str()}).into(kept);
    EXPECT_GE(kept->memory_bytes(), empty + large.size());
    kept->free(kept.row());
    kept->make(kept.row());
    EXPECT_EQ(kept->memory_bytes(), empty);
}

TEST(KeptValues, BrokenBytesAreNotTaken) {
    OneGroup kept(make(kPlain));
    ByteWriter out;
    out.sized("");
    out.sized("\x07\x05\x09 ab");  // the value is longer than what there is
    ByteReader in(out.view());
    kept->read(kept.row(), in);
    EXPECT_FALSE(in.ok());
}

TEST(KeptValues, AClosedWindowFreesItsValues) {
    std::vector<std::unique_ptr<Aggregate>> aggregates;
    aggregates.push_back(make_kept_values(Type::kText, kPlain));
    GroupStore store({}, std::move(aggregates));
    size_t before = store.memory_bytes();
    uint32_t slot = store.touch(30, {}, 0);
    std::string large(100000, 'x');
    Rows({large.c_str()}).into(store.aggregate(0), store.groups().row(slot));
    EXPECT_GE(store.memory_bytes(), before + large.size());
    store.clear_changed();
    store.free_window(30);
    EXPECT_LT(store.memory_bytes(), before + large.size());
}

}  // namespace
}  // namespace anomaly
