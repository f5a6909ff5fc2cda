// First and last by event time: the order of (time, partition, offset), rows without a time, and
// what comes back from the checkpoint log.
#include "core/group/kept_row.h"

#include <gtest/gtest.h>

#include "one_group.h"

namespace anomaly {
namespace {

constexpr int64_t kNone = INT64_MIN;  // a NULL time

struct Row {
    int64_t time;
    int32_t partition;
    int64_t offset;
    char value;
};

// As pg/value/value_codec.h writes a time and a value of one byte.
std::string packed(const Row& row) {
    if (row.time == kNone) return std::string("\x01\x00\x01", 3) + row.value;
    std::string bytes("\x00\x08", 2);
    for (int shift = 56; shift >= 0; shift -= 8) {
        bytes += static_cast<char>(static_cast<uint64_t>(row.time) >> shift);
    }
    return bytes + std::string("\x00\x01", 2) + row.value;
}

void take(OneGroup& kept, const std::vector<Row>& rows) {
    MessageBatch batch;
    Column column(Type::kOpaque);
    column.assign_nulls(static_cast<int32_t>(rows.size()));
    std::vector<std::string> texts;
    for (const Row& row : rows) texts.push_back(packed(row));
    for (size_t i = 0; i < rows.size(); i++) {
        batch.add(rows[i].partition, rows[i].offset, -1, "", 0, nullptr, -1);
        column.set_text(static_cast<int32_t>(i), texts[i]);
    }
    batch.finish();
    MessageRows of;
    of.assign_each(batch);
    kept->begin_batch(of);
    for (int32_t row = 0; row < column.row_count(); row++) kept.take(column, row);
}

// '-': nothing is kept. Half of the rows before a checkpoint, half after it.
char value_of(bool last, const std::vector<Row>& rows) {
    OneGroup before(make_kept_row(last));
    OneGroup after(make_kept_row(last));
    auto half = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
    take(before, {rows.begin(), half});
    ByteWriter out;
    before->write_change(before.row(), out);
    ByteReader in(out.view());
    after->read_change(after.row(), in);
    EXPECT_TRUE(in.ok() && in.at_end());
    take(after, {half, rows.end()});
    Column result(after->result_type());
    result.assign_nulls(1);
    EXPECT_TRUE(after->result(after.row(), result, 0));
    return result.is_null(0) ? '-' : result.text_at(0).back();
}

TEST(KeptRow, FirstAndLastByTime) {
    std::vector<Row> rows = {{5, 0, 0, 'a'}, {-3, 0, 1, 'b'}, {7, 0, 2, 'c'}, {2, 0, 3, 'd'}};
    EXPECT_EQ(value_of(false, rows), 'b');
    EXPECT_EQ(value_of(true, rows), 'c');
}

TEST(KeptRow, EqualTimesGoByPartitionAndOffset) {
    std::vector<Row> rows = {{5, 1, 9, 'a'}, {5, 2, 0, 'b'}, {5, 0, 7, 'c'}, {5, 0, 3, 'd'}};
    EXPECT_EQ(value_of(false, rows), 'd');
    EXPECT_EQ(value_of(true, rows), 'b');
}

TEST(KeptRow, RowsWithoutATimeDoNotCount) {
    EXPECT_EQ(value_of(true, {{kNone, 0, 0, 'a'}, {kNone, 0, 1, 'b'}}), '-');
    EXPECT_EQ(value_of(false, {{kNone, 0, 0, 'a'}, {INT64_MAX, 0, 1, 'b'}}), 'b');
}

TEST(KeptRow, BrokenBytesAreNotTaken) {
    OneGroup kept(make_kept_row(true));
    ByteWriter out;
    out.sized("\x01\x02\x03 x");
    ByteReader in(out.view());
    kept->read(kept.row(), in);
    EXPECT_FALSE(in.ok());
}

}  // namespace
}  // namespace anomaly
