// Expression programs against PostgreSQL's own answers (program_cases.h).
#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/program/program.h"
#include "program_cases.h"

namespace anomaly {
namespace {

TEST(Program, IntegerArithmetic) {
    constexpr Type t = Type::kInt8;
    check_binary(Op::kIntAdd, t, t,
                 {{I(2), I(3), I(5)},
                  {I(INT64_MAX), I(1), kUnsureCell},
                  {kNullCell, I(1), kNullCell},
                  {I(1), kNullCell, kNullCell}});
    check_binary(Op::kIntSub, t, t, {{I(2), I(3), I(-1)}, {I(INT64_MIN), I(1), kUnsureCell}});
    check_binary(Op::kIntMul, t, t, {{I(-4), I(3), I(-12)}, {I(INT64_MIN), I(-1), kUnsureCell}});
    check_binary(Op::kIntDiv, t, t,
                 {{I(7), I(2), I(3)},
                  {I(-7), I(2), I(-3)},
                  {I(7), I(0), kUnsureCell},
                  {kNullCell, I(0), kNullCell},
                  {I(7), kNullCell, kNullCell},
                  {I(INT64_MIN), I(-1), kUnsureCell}});
    check_binary(Op::kIntMod, t, t,
                 {{I(7), I(3), I(1)},
                  {I(-7), I(3), I(-1)},
                  {I(7), I(0), kUnsureCell},
                  {I(INT64_MIN), I(-1), I(0)}});
    check_unary(Op::kIntNeg, t, t,
                {{I(5), I(-5)}, {I(INT64_MIN), kUnsureCell}, {kNullCell, kNullCell}});
}

TEST(Program, NarrowIntegersOverflowAtTheirOwnWidth) {
    check_binary(Op::kIntAdd, Type::kInt4, Type::kInt4,
                 {{I(INT32_MAX), I(0), I(INT32_MAX)}, {I(INT32_MAX), I(1), kUnsureCell}});
    check_binary(Op::kIntMul, Type::kInt2, Type::kInt2,
                 {{I(181), I(181), I(32761)}, {I(182), I(182), kUnsureCell}});
    check_binary(Op::kIntDiv, Type::kInt4, Type::kInt4, {{I(INT32_MIN), I(-1), kUnsureCell}});
    check_unary(Op::kIntNeg, Type::kInt2, Type::kInt2, {{I(-32768), kUnsureCell}});
}

TEST(Program, FloatArithmeticRaisesWherePostgresDoes) {
    constexpr Type t = Type::kFloat8;
    check_binary(Op::kFloatAdd, t, t,
                 {{F(0.1), F(0.2), F(0.1 + 0.2)},
                  {F(kMax), F(kMax), kUnsureCell},
                  {F(kInf), F(1), F(kInf)},
                  {kNullCell, F(kMax), kNullCell}});
    check_binary(Op::kFloatSub, t, t, {{F(1), F(0.75), F(0.25)}, {F(-kMax), F(kMax), kUnsureCell}});
    check_binary(Op::kFloatMul, t, t,
                 {{F(1.5), F(2), F(3)},
                  {F(kMax), F(2), kUnsureCell},
                  {F(kMin), F(kMin), kUnsureCell},
                  {F(0), F(kMin), F(0)},
                  {F(kInf), F(-2), F(-kInf)}});
    check_binary(Op::kFloatDiv, t, t,
                 {{F(1), F(4), F(0.25)},
                  {F(1), F(0), kUnsureCell},
                  {F(kMax), F(0.5), kUnsureCell},
                  {F(kMin), F(kMax), kUnsureCell},
                  {F(1), F(kInf), F(0)},
                  {F(kInf), F(2), F(kInf)}});
    check_unary(Op::kFloatNeg, t, t, {{F(2.5), F(-2.5)}, {kNullCell, kNullCell}});
}

TEST(Program, Comparisons) {
    constexpr Type b = Type::kBool;
    constexpr Type f = Type::kFloat8;
    check_binary(Op::kIntLt, Type::kInt8, b,
                 {{I(-1), I(1), I(1)}, {I(1), I(1), I(0)}, {kNullCell, I(1), kNullCell}});
    check_binary(Op::kIntGe, Type::kInt8, b, {{I(1), I(1), I(1)}, {I(0), I(1), I(0)}});
    check_binary(Op::kIntNe, Type::kInt8, b, {{I(1), I(1), I(0)}, {I(0), I(1), I(1)}});
    check_binary(Op::kFloatEq, f, b,
                 {{F(kNan), F(kNan), I(1)}, {F(kNan), F(1), I(0)}, {F(-0.0), F(0.0), I(1)}});
    check_binary(Op::kFloatNe, f, b, {{F(kNan), F(kNan), I(0)}, {F(1), F(kNan), I(1)}});
    check_binary(Op::kFloatLt, f, b,
                 {{F(kInf), F(kNan), I(1)}, {F(kNan), F(kInf), I(0)}, {F(kNan), F(kNan), I(0)}});
    check_binary(Op::kFloatLe, f, b, {{F(kNan), F(kNan), I(1)}, {F(kNan), F(1), I(0)}});
    check_binary(Op::kFloatGt, f, b, {{F(kNan), F(kInf), I(1)}, {F(80.5), F(80), I(1)}});
    check_binary(Op::kFloatGe, f, b, {{F(1), F(kNan), I(0)}, {F(kNan), F(kNan), I(1)}});
}

TEST(Program, TextComparisons) {
    struct Case {
        std::string a, b;
        int order;  // of a to b
    };
    std::string with_nul("a\0b", 3);
    for (const Case& c : std::vector<Case>{{"a", "b", -1},
                                           {"", "a", -1},
                                           {"same", "same", 0},
                                           {"ab", "a", 1},
                                           {"\xc3\xa9", "z", 1},
                                           {"Z", "a", -1},
                                           {with_nul, "a", 1}}) {
        auto check = [&c](Op op, bool expected) {
            Builder builder;
            int32_t a = builder.text(c.a);
            int32_t b = builder.text(c.b);
            builder.op(op, Type::kBool, a, b);
            Program program = builder.program();
            EXPECT_EQ(run(program, {}, 2), std::vector<Cell>(2, I(expected ? 1 : 0)))
                << c.a << " " << c.b << " op " << static_cast<int>(op);
        };
        check(Op::kTextEq, c.order == 0);
        check(Op::kTextNe, c.order != 0);
        check(Op::kTextLt, c.order < 0);
        check(Op::kTextLe, c.order <= 0);
        check(Op::kTextGt, c.order > 0);
        check(Op::kTextGe, c.order >= 0);
    }
}

// One boolean that is true, false, NULL or unsure (by a division by zero) for each row.
struct Tri {
    static constexpr Type kType = Type::kInt8;
    // 10 / x = 1: x = 10 true, x = 5 false, NULL, x = 0 unsure.
    static int32_t build(Builder& builder, int64_t column) {
        int32_t ten = builder.integer(10, kType);
        int32_t x = builder.column(column, kType);
        int32_t quotient = builder.op(Op::kIntDiv, kType, ten, x);
        int32_t one = builder.integer(1, kType);
        return builder.op(Op::kIntEq, Type::kBool, quotient, one);
    }
    static Cell input(char c) {
        if (c == 'n') return kNullCell;
        return I(c == 't' ? 10 : c == 'f' ? 5 : 0);
    }
    static Cell output(char c) {
        if (c == 'n') return kNullCell;
        if (c == 'u') return kUnsureCell;
        return I(c == 't' ? 1 : 0);
    }
};

// inputs: one string of t, f, n, u for each operand, read downwards.
void check_logic(Op op, const std::vector<std::string>& inputs, const std::string& expected) {
    Builder builder;
    int32_t args[3] = {-1, -1, -1};
    std::vector<Column> columns;
    for (size_t i = 0; i < inputs.size(); i++) {
        args[i] = Tri::build(builder, static_cast<int64_t>(i));
        std::vector<Cell> cells;
        for (char c : inputs[i]) cells.push_back(Tri::input(c));
        columns.push_back(column_of(Tri::kType, cells));
    }
    builder.op(op, Type::kBool, args[0], args[1], args[2]);
    Program program = builder.program();
    std::vector<Cell> outcome;
    for (char c : expected) outcome.push_back(Tri::output(c));
    EXPECT_EQ(run(program, columns, static_cast<int32_t>(expected.size())), outcome)
        << "op " << static_cast<int>(op);
}

TEST(Program, LogicLooksOnlyWherePostgresWould) {
    std::string left = "ttttffffnnnnuuuu";
    std::string right = "tfnutfnutfnutfnu";
    check_logic(Op::kAnd, {left, right}, "tfnuffffnfnuuuuu");
    check_logic(Op::kOr, {left, right}, "tttttfnutnnuuuuu");
    check_logic(Op::kCoalesce, {left, right}, "ttttfffftfnuuuuu");
    check_logic(Op::kNot, {"tfnu"}, "ftnu");
    check_logic(Op::kIsNull, {"tfnu"}, "fftu");
    check_logic(Op::kIsNotNull, {"tfnu"}, "ttfu");
    check_logic(Op::kIsTrue, {"tfnu"}, "tffu");
    check_logic(Op::kIsFalse, {"tfnu"}, "ftfu");
    check_logic(Op::kIsNotTrue, {"tfnu"}, "fttu");
    check_logic(Op::kIsNotFalse, {"tfnu"}, "tftu");
    // condition, then, else
    check_logic(Op::kIf, {"tttfffnnnuu", "tnutuftuutf", "ufftnuftuft"}, "tnutnuftuuu");
}

TEST(Program, ChoosesAmongTexts) {
    Builder builder;
    int32_t condition = builder.column(0, Type::kBool);
    int32_t then = builder.text("yes");
    int32_t otherwise = builder.null(Type::kText);
    int32_t chosen = builder.op(Op::kIf, Type::kText, condition, then, otherwise);
    builder.op(Op::kCoalesce, Type::kText, chosen, builder.text("no, or unknown"));
    Program program = builder.program();
    std::vector<Column> columns = {column_of(Type::kBool, {I(1), I(0), kNullCell})};
    Column result(Type::kBool);
    std::vector<uint8_t> unsure;
    program.evaluate(columns, 3, result, unsure);
    EXPECT_EQ(result.type, Type::kText);
    EXPECT_EQ(result.text_at(0), "yes");
    EXPECT_EQ(result.text_at(1), "no, or unknown");
    EXPECT_EQ(result.text_at(2), "no, or unknown");
}

TEST(Program, Casts) {
    check_unary(Op::kIntToInt, Type::kInt8, Type::kInt2,
                {{I(32767), I(32767)}, {I(32768), kUnsureCell}, {I(-32769), kUnsureCell}});
    check_unary(Op::kIntToInt, Type::kInt8, Type::kInt4,
                {{I(INT32_MIN), I(INT32_MIN)}, {I(int64_t{INT32_MIN} - 1), kUnsureCell}});
    check_unary(Op::kIntToInt, Type::kInt4, Type::kInt8, {{I(-5), I(-5)}, {kNullCell, kNullCell}});
    check_unary(Op::kIntToFloat, Type::kInt8, Type::kFloat8,
                {{I(-3), F(-3)}, {I((int64_t{1} << 53) + 1), F(9007199254740992.0)}});
    check_unary(Op::kFloat4ToFloat8, Type::kFloat4, Type::kFloat8,
                {{F(static_cast<double>(0.1F)), F(0.10000000149011612)}, {kNullCell, kNullCell}});
}

TEST(Program, ToTimestamp) {
    check_unary(Op::kToTimestamp, Type::kFloat8, Type::kTimestamptz,
                {{F(0), I(-946684800000000)},
                 {F(946684800), I(0)},
                 {F(1700000000.123), I(753315200123000)},
                 {F(946684800.0000005), I(0)},  // doubles there are 0.12 us apart
                 {F(946684800.0000015), I(2)},
                 {F(kInf), I(INT64_MAX)},
                 {F(-kInf), I(INT64_MIN)},
                 {F(kNan), kUnsureCell},
                 {F(9224318016000.0), kUnsureCell},  // 294277-01-01
                 {F(9224318015999.0), I(9223371331198999552)},
                 {F(-210866803200.0), I(-211813488000000000)},
                 {F(-210866803201.0), kUnsureCell},
                 {F(1e300), kUnsureCell},
                 {kNullCell, kNullCell}});
}

TEST(Program, DividesByPowersOfTen) {
    constexpr int64_t limit = int64_t{1} << 53;
    for (int64_t k = 1; k <= 9; k++) {
        double power = std::pow(10.0, static_cast<double>(k));
        check_unary(Op::kIntDivPow10, Type::kInt8, Type::kFloat8,
                    {{I(1), F(1 / power)},
                     {I(1700000000123), F(1700000000123.0 / power)},
                     {I(-1700000000123), F(-1700000000123.0 / power)},
                     {I(0), F(0)},
                     {I(limit), F(9007199254740992.0 / power)},
                     {I(limit + 1), kUnsureCell},
                     {I(-limit - 1), kUnsureCell},
                     {I(INT64_MIN), kUnsureCell},
                     {kNullCell, kNullCell}},
                    k);
    }
    check_unary(Op::kIntDivPow10, Type::kInt8, Type::kFloat8,
                {{I(1700000000123), F(1700000000.123)}}, 3);
}

TEST(Program, TheSeedsEventTime) {  // to_timestamp(occurred_at / 1000.0)
    Builder builder;
    int32_t millis = builder.column(0, Type::kInt8);
    int32_t seconds = builder.op(Op::kIntDivPow10, Type::kFloat8, millis, -1, -1, 3);
    builder.op(Op::kToTimestamp, Type::kTimestamptz, seconds);
    Program program = builder.program();
    std::vector<Cell> in, expected;
    for (int64_t i = 0; i < 5000; i++) {
        int64_t ms = 1700000000000 + i * 1237;
        in.push_back(I(ms));
        expected.push_back(I((ms - 946684800000) * 1000));
    }
    std::vector<Column> columns = {column_of(Type::kInt8, in)};
    EXPECT_EQ(run(program, columns, 5000), expected);
}

TEST(Program, BatchesOfAnySizeFollowEachOther) {
    Builder builder;
    int32_t usage = builder.column(1, Type::kFloat8);
    builder.op(Op::kFloatGt, Type::kBool, usage, builder.number(80));
    Program program = builder.program();
    for (size_t rows : {3u, 1u, 0u, 1000u, 10u}) {
        std::vector<Cell> in, expected;
        for (size_t i = 0; i < rows; i++) {
            in.push_back(i % 7 == 6 ? kNullCell : F(static_cast<double>(78 + i % 5)));
            expected.push_back(i % 7 == 6 ? kNullCell : I(i % 5 > 2 ? 1 : 0));
        }
        std::vector<Column> columns = {Column(Type::kText), column_of(Type::kFloat8, in)};
        EXPECT_EQ(run(program, columns, static_cast<int32_t>(rows)), expected);
    }
}

TEST(Program, RootMayBeAColumn) {
    Builder builder;
    builder.column(0, Type::kInt4);
    Program program = builder.program();
    EXPECT_EQ(program.type(), Type::kInt4);
    std::vector<Column> columns = {column_of(Type::kInt4, {I(1), kNullCell, I(-3)})};
    EXPECT_EQ(run(program, columns, 3), (std::vector<Cell>{I(1), kNullCell, I(-3)}));
}

}  // namespace
}  // namespace anomaly
