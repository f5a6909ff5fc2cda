// Goal: a sample of messages gives the columns that a person would have declared.
// Method: samples with one doubtful thing each.
#include "core/decode/schema_guess.h"

#include <gtest/gtest.h>

#include <string>

namespace anomaly {
namespace {

// name:type of each column, "!" where every message has it, units of a time after "/".
std::string guess(std::initializer_list<std::string> messages) {
    SchemaGuess schema;
    for (const std::string& message : messages) schema.add(message);
    std::string out;
    for (const GuessedColumn& column : schema.columns()) {
        if (!out.empty()) out += ' ';
        for (size_t i = 0; i < column.path.size(); i++) out += (i == 0 ? "" : ".") + column.path[i];
        out += std::string(":") + column.type + (column.in_all ? "!" : "");
        if (column.units_per_second != 0) out += "/" + std::to_string(column.units_per_second);
    }
    return out;
}

TEST(SchemaGuess, TakesTheNarrowestTypeThatHoldsAll) {
    EXPECT_EQ(guess({R"({"a":1})", R"({"a":-5})"}), "a:bigint!");
    EXPECT_EQ(guess({R"({"a":1})", R"({"a":1.5})"}), "a:double precision!");
    EXPECT_EQ(guess({R"({"a":1})", R"({"a":18446744073709551615})"}), "a:numeric!");
    EXPECT_EQ(guess({R"({"a":true})", R"({"a":1})"}), "a:text!");
    EXPECT_EQ(guess({R"({"a":"x"})", R"({"a":[1]})"}), "a:jsonb!");
    EXPECT_EQ(guess({R"({"a":"2026-01-05"})", R"({"a":"2026-01-05T10:00:00Z"})"}), "a:text!");
}

TEST(SchemaGuess, DescendsObjectsThatAreAlwaysObjects) {
    EXPECT_EQ(guess({R"({"a":{"b":{"c":1}}})", R"({"a":{"d":"x"}})"}), "a.b.c:bigint a.d:text");
    EXPECT_EQ(guess({R"({"a":{"b":1}})", R"({"a":5})"}), "a:jsonb!");
    EXPECT_EQ(guess({R"({"a":{}})"}), "a:jsonb!");
    std::string map = R"({"a":{"0":1)";
    for (int i = 1; i <= 200; i++) map += ",\"" + std::to_string(i) + "\":1";
    EXPECT_EQ(guess({map + "}}"}), "a:jsonb!");
}

TEST(SchemaGuess, KnowsWhatEveryMessageHas) {
    EXPECT_EQ(guess({R"({"a":1,"b":1,"c":1})", R"({"a":2,"b":null})"}),
              "a:bigint! b:bigint c:bigint");
    EXPECT_EQ(guess({R"({"a":1,"a":2})", R"({"b":1})"}), "a:bigint b:bigint");
    EXPECT_EQ(guess({R"({"":1,"a":1})", "[1]", "no", ""}), "a:bigint!");
}

TEST(SchemaGuess, KnowsTimesByTheirRange) {
    EXPECT_EQ(guess({R"({"ts":1700000000,"id":1700000000})"}), "ts:bigint!/1 id:bigint!");
    EXPECT_EQ(guess({R"({"x":1700000000000})"}), "x:bigint!/1000");
    EXPECT_EQ(guess({R"({"x":1700000000000000})"}), "x:bigint!/1000000");
    EXPECT_EQ(guess({R"({"x":1700000000000000000})"}), "x:bigint!/1000000000");
    EXPECT_EQ(guess({R"({"time":1700000000.25})"}), "time:double precision!/1");
    EXPECT_EQ(guess({R"({"time":1700000000})", R"({"time":3})"}), "time:bigint!");
}

TEST(SchemaGuess, HostileMessagesDoNoHarm) {
    std::string deep;
    for (int i = 0; i < 2000; i++) deep += R"({"a":)";
    EXPECT_EQ(guess({deep, R"({"a":1)", "{\"\xff\":1}", R"({"a":1e999})"}), "");
    SchemaGuess schema;
    for (int i = 0; i < 20000; i++) schema.add("{\"k" + std::to_string(i) + "\":1}");
    EXPECT_LE(schema.columns().size(), 1500u);
}

}  // namespace
}  // namespace anomaly
