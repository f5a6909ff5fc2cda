// Functions of numbers, times and texts in expression programs, against PostgreSQL's own answers.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "core/program/like.h"
#include "program_cases.h"

namespace anomaly {
namespace {

constexpr int64_t kSecondUs = 1'000'000;
constexpr int64_t kDayUs = 86400 * kSecondUs;

using Texts = std::vector<std::optional<std::string>>;

Column text_column(const Texts& texts) {
    Column column(Type::kText);
    column.assign_nulls(static_cast<int32_t>(texts.size()));
    for (size_t i = 0; i < texts.size(); i++) {
        if (texts[i]) column.set_text(static_cast<int32_t>(i), *texts[i]);
    }
    return column;
}

// op(text [, integer or text arguments]) -> text, one call.
std::string text_of(Op op, const std::string& text, const std::vector<int64_t>& numbers,
                    const std::vector<std::string>& texts = {}, bool utf8 = true) {
    Builder builder;
    int32_t args[3] = {builder.column(0, Type::kText), -1, -1};
    size_t next = 1;
    for (int64_t number : numbers) args[next++] = builder.integer(number, Type::kInt4);
    for (const std::string& more : texts) args[next++] = builder.text(more);
    builder.op(op, Type::kText, args[0], args[1], args[2], utf8 ? 1 : 0);
    Program program = builder.program();
    const Texts kept = {text};
    std::vector<Column> columns = {text_column(kept)};
    Column result(Type::kText);
    std::vector<uint8_t> unsure;
    program.evaluate(columns, 1, result, unsure);
    if (unsure[0] != 0) return "unsure";
    return std::string(result.text_at(0));
}

std::vector<Cell> of_texts(Op op, Type type, const Texts& texts) {
    Builder builder;
    builder.op(op, type, builder.column(0, Type::kText), -1, -1, 1);
    Program program = builder.program();
    std::vector<Column> columns = {text_column(texts)};
    return run(program, columns, static_cast<int32_t>(texts.size()));
}

TEST(ProgramFunctions, Float4IsComputedInSinglePrecision) {
    float sum = 16777216.0F;
    check_binary(Op::kFloat4Add, Type::kFloat4, Type::kFloat4,
                 {{F(16777216), F(1), F(static_cast<double>(sum + 1.0F))},
                  {F(3e38F), F(3e38F), kUnsureCell},
                  {F(kInf), F(1), F(kInf)}});
    check_binary(Op::kFloat4Sub, Type::kFloat4, Type::kFloat4, {{F(1.5), F(0.5), F(1)}});
    check_binary(Op::kFloat4Mul, Type::kFloat4, Type::kFloat4,
                 {{F(1e-30F), F(1e-30F), kUnsureCell}, {F(2), F(0.25), F(0.5)}});
    check_binary(Op::kFloat4Div, Type::kFloat4, Type::kFloat4,
                 {{F(1), F(3), F(static_cast<double>(1.0F / 3.0F))}, {F(1), F(0), kUnsureCell}});
}

TEST(ProgramFunctions, CastsBetweenNumbers) {
    check_unary(Op::kFloatToInt, Type::kFloat8, Type::kInt4,
                {{F(2.5), I(2)},
                 {F(3.5), I(4)},
                 {F(-2147483648.5), I(INT32_MIN)},
                 {F(2147483647.5), kUnsureCell},
                 {F(kNan), kUnsureCell},
                 {kNullCell, kNullCell}});
    check_unary(Op::kFloatToInt, Type::kFloat8, Type::kInt8,
                {{F(-0x1p63), I(INT64_MIN)}, {F(0x1p63), kUnsureCell}});
    check_unary(Op::kFloatToInt, Type::kFloat4, Type::kInt2,
                {{F(32767), I(32767)}, {F(32768), kUnsureCell}, {F(-0.5), I(0)}});
    check_unary(Op::kFloat8ToFloat4, Type::kFloat8, Type::kFloat4,
                {{F(0.1), F(static_cast<double>(0.1F))},
                 {F(1e39), kUnsureCell},
                 {F(1e-50), kUnsureCell},
                 {F(-kInf), F(-kInf)}});
    check_unary(Op::kIntToFloat4, Type::kInt8, Type::kFloat4, {{I(16777217), F(16777216)}});
    check_unary(Op::kIntToBool, Type::kInt4, Type::kBool, {{I(0), I(0)}, {I(-7), I(1)}});
}

TEST(ProgramFunctions, Numbers) {
    check_unary(Op::kIntAbs, Type::kInt4, Type::kInt4,
                {{I(-5), I(5)}, {I(INT32_MIN), kUnsureCell}, {kNullCell, kNullCell}});
    check_unary(Op::kFloatRound, Type::kFloat8, Type::kFloat8,
                {{F(2.5), F(2)}, {F(-3.5), F(-4)}, {F(kInf), F(kInf)}});
    check_unary(Op::kFloatTrunc, Type::kFloat8, Type::kFloat8, {{F(-2.7), F(-2)}, {F(2.7), F(2)}});
    check_unary(Op::kFloatFloor, Type::kFloat8, Type::kFloat8, {{F(-2.1), F(-3)}});
    check_unary(Op::kFloatCeil, Type::kFloat8, Type::kFloat8, {{F(2.1), F(3)}});
    check_unary(Op::kFloatSign, Type::kFloat8, Type::kFloat8, {{F(-2), F(-1)}, {F(0), F(0)}});
    check_unary(Op::kFloatSqrt, Type::kFloat8, Type::kFloat8, {{F(4), F(2)}, {F(-1), kUnsureCell}});
    check_unary(Op::kFloatLn, Type::kFloat8, Type::kFloat8,
                {{F(0), kUnsureCell}, {F(-1), kUnsureCell}, {F(std::exp(1.0)), F(1)}});
    check_unary(Op::kFloatExp, Type::kFloat8, Type::kFloat8,
                {{F(0), F(1)}, {F(1000), kUnsureCell}, {F(-1000), kUnsureCell}});
    check_binary(
        Op::kFloatPower, Type::kFloat8, Type::kFloat8,
        {{F(2), F(10), F(1024)}, {F(-2), F(2), kUnsureCell}, {F(10), F(400), kUnsureCell}});
}

TEST(ProgramFunctions, TimesAreTruncatedFromAMonday) {
    int64_t wednesday = 4 * kDayUs + 5 * 3600 * kSecondUs + 7;  // 2000-01-05 05:00:00.000007
    check_unary(Op::kTimeTrunc, Type::kTimestamp, Type::kTimestamp,
                {{I(wednesday), I(2 * kDayUs)},            // 2000-01-03
                 {I(kDayUs), I(2 * kDayUs - 7 * kDayUs)},  // Sunday 2000-01-02: 1999-12-27
                 {I(INT64_MAX), I(INT64_MAX)},
                 {I(INT64_MAX - 1), kUnsureCell},
                 {kNullCell, kNullCell}},
                7 * kDayUs);
    check_unary(Op::kTimeTrunc, Type::kTimestamp, Type::kTimestamp,
                {{I(wednesday), I(wednesday - 7)}, {I(-1), I(-3600 * kSecondUs)}},
                3600 * kSecondUs);
    check_unary(Op::kTimeTruncZone, Type::kTimestamptz, Type::kTimestamptz,
                {{I(wednesday), I(wednesday - 7)}, {I(-100 * 365 * kDayUs), kUnsureCell}},
                60 * kSecondUs);
}

TEST(ProgramFunctions, TimesAndDates) {
    check_unary(Op::kTimeAdd, Type::kTimestamp, Type::kTimestamp,
                {{I(5), I(15)}, {I(INT64_MIN), I(INT64_MIN)}, {I(INT64_MAX - 5), kUnsureCell}}, 10);
    check_binary(Op::kDateAdd, Type::kDate, Type::kDate,
                 {{I(10), I(5), I(15)}, {I(INT32_MAX), I(-1), I(INT32_MAX)}});
    check_binary(Op::kDateSub, Type::kDate, Type::kDate,
                 {{I(10), I(11), I(-1)}, {I(10), I(INT32_MIN), kUnsureCell}});
    check_unary(Op::kTimeToDate, Type::kTimestamp, Type::kDate,
                {{I(-1), I(-1)}, {I(kDayUs), I(1)}, {I(INT64_MIN), I(INT32_MIN)}});
    check_unary(Op::kDateToTime, Type::kDate, Type::kTimestamp,
                {{I(-1), I(-kDayUs)}, {I(INT32_MAX), I(INT64_MAX)}, {I(100'000'000), kUnsureCell}});
}

TEST(ProgramFunctions, TextsBecomeNumbersOnlyWhereThatIsPlain) {
    EXPECT_EQ(of_texts(Op::kTextToInt, Type::kInt4,
                       {"17", "-17", "+17", "+-17", "", " 17", "2147483648", "0x10", "1_000",
                        std::nullopt}),
              (std::vector<Cell>{I(17), I(-17), I(17), kUnsureCell, kUnsureCell, kUnsureCell,
                                 kUnsureCell, kUnsureCell, kUnsureCell, kNullCell}));
    EXPECT_EQ(of_texts(Op::kTextToFloat, Type::kFloat8,
                       {"2.5", "-1e3", "inf", "nan", "1e400", "1e-400", ".5", "1.5 ", "0x1p3"}),
              (std::vector<Cell>{F(2.5), F(-1000), kUnsureCell, kUnsureCell, kUnsureCell,
                                 kUnsureCell, kUnsureCell, kUnsureCell, kUnsureCell}));
}

TEST(ProgramFunctions, CharactersAreCountedNotBytes) {
    EXPECT_EQ(of_texts(Op::kTextLength, Type::kInt4, {"", "abc", "\xc3\xa9t\xc3\xa9"}),
              (std::vector<Cell>{I(0), I(3), I(3)}));
    EXPECT_EQ(of_texts(Op::kTextBytes, Type::kInt4, {"\xc3\xa9t\xc3\xa9"}),
              (std::vector<Cell>{I(5)}));
    EXPECT_EQ(text_of(Op::kTextLeft, "\xc3\xa9t\xc3\xa9", {2}), "\xc3\xa9t");
    EXPECT_EQ(text_of(Op::kTextLeft, "abcde", {-2}), "abc");
    EXPECT_EQ(text_of(Op::kTextLeft, "abc", {-5}), "");
    EXPECT_EQ(text_of(Op::kTextRight, "\xc3\xa9t\xc3\xa9", {2}), "t\xc3\xa9");
    EXPECT_EQ(text_of(Op::kTextRight, "abcde", {-2}), "cde");
    EXPECT_EQ(text_of(Op::kTextRight, "abc", {-2147483648LL}), "");
    EXPECT_EQ(text_of(Op::kTextSubstr, "h\xc3\xa9llo", {3}), "llo");
    EXPECT_EQ(text_of(Op::kTextSubstr, "hello", {-3}), "hello");
    EXPECT_EQ(text_of(Op::kTextSubstrUpTo, "h\xc3\xa9llo", {2, 2}), "\xc3\xa9l");
    EXPECT_EQ(text_of(Op::kTextSubstrUpTo, "hello", {-1, 3}), "h");
    EXPECT_EQ(text_of(Op::kTextSubstrUpTo, "hello", {-5, 3}), "");
    EXPECT_EQ(text_of(Op::kTextSubstrUpTo, "hello", {2, -1}), "unsure");
    EXPECT_EQ(text_of(Op::kTextLeft, "\xe9t\xe9", {2}, {}, false), "\xe9t");
}

TEST(ProgramFunctions, Texts) {
    EXPECT_EQ(text_of(Op::kTextTrim, "  a b ", {}), "a b");
    EXPECT_EQ(text_of(Op::kTextTrimLeft, "  a ", {}), "a ");
    EXPECT_EQ(text_of(Op::kTextTrimRight, "   ", {}), "");
    EXPECT_EQ(text_of(Op::kTextConcat, "ab", {}, {"cd"}), "abcd");
    EXPECT_EQ(text_of(Op::kTextConcat, "", {}, {""}), "");
    EXPECT_EQ(text_of(Op::kTextLower, "AZaz\xc3\x89", {}), "azaz\xc3\x89");
    EXPECT_EQ(text_of(Op::kTextUpper, "AZaz[{", {}), "AZAZ[{");
    EXPECT_EQ(text_of(Op::kTextReplace, "oo-o", {}, {"o", "00"}), "0000-00");
    EXPECT_EQ(text_of(Op::kTextReplace, "abc", {}, {"", "x"}), "abc");
    EXPECT_EQ(text_of(Op::kTextReplace, "abc", {}, {"abc", ""}), "");
    Builder builder;
    builder.op(Op::kIntToText, Type::kText, builder.column(0, Type::kInt8));
    Program program = builder.program();
    Column result(Type::kText);
    std::vector<uint8_t> unsure;
    program.evaluate({column_of(Type::kInt8, {I(INT64_MIN), kNullCell})}, 2, result, unsure);
    EXPECT_EQ(result.text_at(0), "-9223372036854775808");
    EXPECT_TRUE(result.is_null(1));
}

TEST(ProgramFunctions, Positions) {
    auto position = [](const std::string& text, const std::string& part) {
        Builder builder;
        builder.op(Op::kTextPosition, Type::kInt4, builder.text(text), builder.text(part), -1, 1);
        Program program = builder.program();
        return run(program, {}, 1)[0];
    };
    EXPECT_EQ(position("h\xc3\xa9llo", "l"), I(3));
    EXPECT_EQ(position("hello", "x"), I(0));
    EXPECT_EQ(position("hello", ""), I(1));
    EXPECT_EQ(position("", ""), I(1));
}

TEST(ProgramFunctions, Like) {
    EXPECT_TRUE(is_like("", "", true));
    EXPECT_TRUE(is_like("", "%", true));
    EXPECT_FALSE(is_like("", "_", true));
    EXPECT_TRUE(is_like("dopey", "d%y", true));
    EXPECT_FALSE(is_like("dopeys", "d%y", true));
    EXPECT_TRUE(is_like("aXbXc", "a%X_", true));
    EXPECT_TRUE(is_like("abab", "%ab", true));
    EXPECT_TRUE(is_like("mississippi", "m%iss%pi", true));
    EXPECT_FALSE(is_like("mississippi", "m%iss%pp", true));
    EXPECT_TRUE(is_like("50%", "50\\%", true));
    EXPECT_FALSE(is_like("50x", "50\\%", true));
    EXPECT_TRUE(is_like("a\\b", "a\\\\b", true));
    EXPECT_TRUE(is_like("\xc3\xa9", "_", true));
    EXPECT_FALSE(is_like("\xc3\xa9", "__", true));
    EXPECT_TRUE(is_like("\xc3\xa9", "__", false));
    EXPECT_TRUE(is_like("x\xc3\xa9y", "%_y", true));
}

}  // namespace
}  // namespace anomaly
