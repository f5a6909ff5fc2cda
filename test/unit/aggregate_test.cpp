// Each aggregate's result is PostgreSQL's: types, NULLs, NaN, overflow; and survives being written.
#include "core/group/aggregate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>

#include "one_group.h"

namespace anomaly {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

struct Outcome {
    bool ok;
    Column column;
    bool null() const { return column.is_null(0); }
    int64_t integer() const { return column.int_at(0); }
    double real() const { return column.float_at(0); }
};

// Half of the rows before a checkpoint, half after it.
Outcome fold(AggregateKind kind, const Column& rows) {
    OneGroup before(make_aggregate(kind, rows.type));
    OneGroup after(make_aggregate(kind, rows.type));
    int32_t half = rows.row_count() / 2;
    for (int32_t row = 0; row < half; row++) before.take(rows, row);
    ByteWriter bytes;
    before->write(before.row(), bytes);
    ByteReader in(bytes.view());
    after->read(after.row(), in);
    EXPECT_TRUE(in.ok() && in.at_end());
    for (int32_t row = half; row < rows.row_count(); row++) after.take(rows, row);
    Outcome outcome{false, Column(after->result_type())};
    outcome.column.assign_nulls(1);
    outcome.ok = after->result(after.row(), outcome.column, 0);
    return outcome;
}

Outcome fold(AggregateKind kind, Type type, std::vector<std::optional<int64_t>> values) {
    Column rows(type);
    rows.assign_nulls(static_cast<int32_t>(values.size()));
    for (size_t i = 0; i < values.size(); i++) {
        if (values[i]) rows.set_int(static_cast<int32_t>(i), *values[i]);
    }
    return fold(kind, rows);
}

Outcome fold_real(AggregateKind kind, Type type, std::vector<double> values) {
    Column rows(type);
    rows.assign_nulls(static_cast<int32_t>(values.size()));
    for (size_t i = 0; i < values.size(); i++) rows.set_float(static_cast<int32_t>(i), values[i]);
    return fold(kind, rows);
}

TEST(Aggregate, CountsAndNulls) {
    EXPECT_EQ(fold(AggregateKind::kCount, Type::kInt4, {1, {}, 3}).integer(), 2);
    EXPECT_EQ(fold(AggregateKind::kCount, Type::kInt4, {{}, {}}).integer(), 0);
    for (AggregateKind kind :
         {AggregateKind::kSum, AggregateKind::kAvg, AggregateKind::kMin, AggregateKind::kMax}) {
        for (Type type : {Type::kInt2, Type::kInt4, Type::kInt8, Type::kFloat4, Type::kFloat8}) {
            Outcome outcome = fold(kind, type, {{}, {}});
            EXPECT_TRUE(outcome.ok && outcome.null());
        }
    }
}

TEST(Aggregate, ResultTypes) {
    auto type_of = [](AggregateKind kind, Type type) {
        return make_aggregate(kind, type)->result_type();
    };
    EXPECT_EQ(type_of(AggregateKind::kSum, Type::kInt2), Type::kInt8);
    EXPECT_EQ(type_of(AggregateKind::kSum, Type::kInt8), Type::kInt128);
    EXPECT_EQ(type_of(AggregateKind::kSum, Type::kFloat4), Type::kFloat4);
    EXPECT_EQ(type_of(AggregateKind::kAvg, Type::kInt4), Type::kInt128Ratio);
    EXPECT_EQ(type_of(AggregateKind::kAvg, Type::kFloat4), Type::kFloat8);
    EXPECT_EQ(type_of(AggregateKind::kMax, Type::kTimestamptz), Type::kTimestamptz);
    EXPECT_EQ(type_of(AggregateKind::kMax, Type::kText), Type::kText);
    EXPECT_EQ(type_of(AggregateKind::kVarPop, Type::kFloat4), Type::kFloat8);
    EXPECT_EQ(make_aggregate(AggregateKind::kVarPop, Type::kInt4), nullptr);
    EXPECT_EQ(make_aggregate(AggregateKind::kSum, Type::kText), nullptr);
    EXPECT_EQ(make_aggregate(AggregateKind::kBoolAnd, Type::kInt4), nullptr);
}

TEST(Aggregate, IntegerSums) {
    EXPECT_EQ(fold(AggregateKind::kSum, Type::kInt4, {5, -7, {}, 1}).integer(), -1);
    EXPECT_FALSE(fold(AggregateKind::kSum, Type::kInt4, {INT64_MAX, 0, 1, -5}).ok);
    Outcome wide = fold(AggregateKind::kSum, Type::kInt8, {INT64_MAX, INT64_MAX, 2});
    EXPECT_EQ(wide.column.cells[0], 0U);  // 2^64
    EXPECT_EQ(wide.column.cells[1], 1U);
    Outcome negative = fold(AggregateKind::kAvg, Type::kInt8, {-1, -2, {}});
    EXPECT_EQ(static_cast<int64_t>(negative.column.cells[0]), -3);
    EXPECT_EQ(static_cast<int64_t>(negative.column.cells[1]), -1);
    EXPECT_EQ(negative.column.cells[2], 2U);
}

TEST(Aggregate, FloatSums) {
    EXPECT_EQ(fold_real(AggregateKind::kSum, Type::kFloat8, {1.5, 2.25}).real(), 3.75);
    EXPECT_TRUE(std::signbit(fold_real(AggregateKind::kSum, Type::kFloat8, {-0.0}).real()));
    float expected = 16777216.0F;
    EXPECT_EQ(fold_real(AggregateKind::kSum, Type::kFloat4, {16777216.0, 1.0}).real(), expected);
    EXPECT_FALSE(fold_real(AggregateKind::kSum, Type::kFloat8, {1e308, 1e308, -1e308}).ok);
    EXPECT_FALSE(fold_real(AggregateKind::kSum, Type::kFloat4, {3e38, 3e38}).ok);
    EXPECT_EQ(fold_real(AggregateKind::kSum, Type::kFloat8, {kInf, 1}).real(), kInf);
    EXPECT_TRUE(std::isnan(fold_real(AggregateKind::kSum, Type::kFloat8, {kInf, -kInf}).real()));
}

TEST(Aggregate, FloatAverages) {
    EXPECT_EQ(fold_real(AggregateKind::kAvg, Type::kFloat8, {1, 2, 6}).real(), 3);
    EXPECT_EQ(fold_real(AggregateKind::kAvg, Type::kFloat8, {kInf, 1}).real(), kInf);
    EXPECT_TRUE(std::isnan(fold_real(AggregateKind::kAvg, Type::kFloat8, {1, kNan}).real()));
    EXPECT_FALSE(fold_real(AggregateKind::kAvg, Type::kFloat8, {1e308, 1e308}).ok);
    // The sum of squares overflows, and PostgreSQL raises for it although the sum does not.
    EXPECT_FALSE(fold_real(AggregateKind::kAvg, Type::kFloat8, {1e200, -1e200}).ok);
}

TEST(Aggregate, Variances) {
    EXPECT_EQ(fold_real(AggregateKind::kVarPop, Type::kFloat8, {1, 3}).real(), 1);
    EXPECT_EQ(fold_real(AggregateKind::kVarSamp, Type::kFloat4, {1, 3}).real(), 2);
    EXPECT_EQ(fold_real(AggregateKind::kStddevPop, Type::kFloat8, {1, 5}).real(), 2);
    EXPECT_EQ(fold_real(AggregateKind::kStddevSamp, Type::kFloat8, {0, 3, 6}).real(), 3);
    EXPECT_EQ(fold_real(AggregateKind::kVarPop, Type::kFloat8, {7}).real(), 0);
    EXPECT_TRUE(fold_real(AggregateKind::kVarSamp, Type::kFloat8, {7}).null());
    EXPECT_TRUE(fold_real(AggregateKind::kStddevPop, Type::kFloat8, {}).null());
    EXPECT_TRUE(std::isnan(fold_real(AggregateKind::kVarPop, Type::kFloat8, {kInf}).real()));
    EXPECT_TRUE(std::isnan(fold_real(AggregateKind::kStddevSamp, Type::kFloat8, {1, kNan}).real()));
    EXPECT_FALSE(fold_real(AggregateKind::kVarPop, Type::kFloat8, {1e200, -1e200}).ok);
}

TEST(Aggregate, Texts) {
    Column rows(Type::kText);
    rows.assign_nulls(4);
    rows.set_text(0, "b");
    rows.set_text(2, "\xc3\xa9");  // bytes count, and are unsigned
    rows.set_text(3, "B");
    for (AggregateKind kind : {AggregateKind::kMin, AggregateKind::kMax}) {
        OneGroup aggregate(make_aggregate(kind, Type::kText));
        OneGroup copy(make_aggregate(kind, Type::kText));
        Column out(Type::kText);
        out.assign_nulls(1);
        EXPECT_TRUE(aggregate->result(aggregate.row(), out, 0) && out.is_null(0));
        for (int32_t row = 0; row < 4; row++) aggregate.take(rows, row);
        ByteWriter bytes;
        aggregate->write(aggregate.row(), bytes);
        ByteReader in(bytes.view());
        copy->read(copy.row(), in);
        EXPECT_TRUE(copy->result(copy.row(), out, 0));
        EXPECT_EQ(out.text_at(0), kind == AggregateKind::kMin ? "B" : "\xc3\xa9");
    }
}

TEST(Aggregate, Extremes) {
    EXPECT_EQ(fold(AggregateKind::kMin, Type::kInt2, {4, -3, {}}).integer(), -3);
    EXPECT_EQ(fold(AggregateKind::kMax, Type::kTimestamptz, {4, -3, {}}).integer(), 4);
    EXPECT_TRUE(std::isnan(fold_real(AggregateKind::kMax, Type::kFloat8, {1, kNan, kInf}).real()));
    EXPECT_EQ(fold_real(AggregateKind::kMin, Type::kFloat8, {kNan, 2, kNan}).real(), 2);
    EXPECT_TRUE(std::isnan(fold_real(AggregateKind::kMin, Type::kFloat8, {kNan, kNan}).real()));
    EXPECT_TRUE(std::signbit(fold_real(AggregateKind::kMax, Type::kFloat8, {0.0, -0.0}).real()));
}

TEST(Aggregate, Booleans) {
    EXPECT_EQ(fold(AggregateKind::kBoolAnd, Type::kBool, {1, {}, 0, 1}).integer(), 0);
    EXPECT_EQ(fold(AggregateKind::kBoolAnd, Type::kBool, {1, {}, 1}).integer(), 1);
    EXPECT_EQ(fold(AggregateKind::kBoolOr, Type::kBool, {0, {}, 1, 0}).integer(), 1);
    EXPECT_TRUE(fold(AggregateKind::kBoolOr, Type::kBool, {{}, {}}).null());
}

}  // namespace
}  // namespace anomaly
