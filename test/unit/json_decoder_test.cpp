// The JSON decoder against what PostgreSQL's jsonb_populate_record makes of the same message. "?"
// stands for a row that has to be left to PostgreSQL, "!" for one that is certainly bad.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/decode/json_decoder.h"

namespace anomaly {
namespace {

struct Field {
    std::vector<const char*> path;
    Type type;
    bool not_null = false;
    bool used = true;
    Source source = Source::kField;
};

class Stream {
  public:
    explicit Stream(std::vector<Field> fields, bool utf8 = true) : fields_(std::move(fields)) {
        std::vector<StreamColumnSpec> specs;
        for (const Field& field : fields_) {
            specs.push_back({field.path.data(),
                             static_cast<int32_t>(field.path.size()),
                             field.type,
                             field.source,
                             field.not_null,
                             field.used,
                             {nullptr, 0, field.type}});
        }
        StreamSpec spec{};
        spec.topic = "cpu_load";
        spec.columns = specs.data();
        spec.column_count = static_cast<int32_t>(specs.size());
        spec.event_time = -1;
        decoder_ = std::make_unique<JsonDecoder>(spec, utf8);
    }

    // Decodes the values as one batch and describes each row: its used columns, "?" or "!reason".
    std::vector<std::string> decode(const std::vector<std::string>& values) {
        batch_.clear();
        for (const std::string& value : values) {
            batch_.add(3, 70, 946684801000, value.data(), static_cast<int32_t>(value.size()), "key",
                       3);
        }
        return decode_batch();
    }
    std::string decode_one(const std::string& value) { return decode({value})[0]; }

    MessageBatch& batch() { return batch_; }
    std::vector<std::string> decode_batch() {
        batch_.finish();
        arena_.reset();
        decoder_->decode(batch_, arena_, columns_, rows_);
        std::vector<std::string> described;
        for (int32_t row = 0; row < batch_.size(); row++) described.push_back(describe(row));
        return described;
    }
    const Column& column(size_t index) const { return columns_[index]; }

  private:
    std::string describe(int32_t row) const {
        const RowState& state = rows_.state(row);
        std::string values;
        for (size_t c = 0; c < fields_.size(); c++) {
            if (!fields_[c].used) continue;
            bool left_empty = state.status != RowStatus::kGood;
            if (left_empty && fields_[c].source == Source::kField) {
                EXPECT_TRUE(columns_[c].is_null(row));
            }
            if (!values.empty()) values += ",";
            values += describe_cell(columns_[c], row);
        }
        if (state.status == RowStatus::kUnsure) return "?";
        if (state.status == RowStatus::kBad) return std::string("!") + state.reason;
        return values;
    }
    static std::string describe_cell(const Column& column, int32_t row) {
        if (column.is_null(row)) {
            for (int c = 0; c < stride(column.type); c++) {
                EXPECT_EQ(column.cells[static_cast<size_t>(row * stride(column.type) + c)], 0u);
            }
            return "NULL";
        }
        if (column.type == Type::kText) return std::string(column.text_at(row));
        if (column.type == Type::kFloat4 || column.type == Type::kFloat8) {
            std::array<char, 40> text{};
            std::snprintf(text.data(), text.size(), "%.17g", column.float_at(row));
            return text.data();
        }
        return std::to_string(column.int_at(row));
    }

    std::vector<Field> fields_;
    std::unique_ptr<JsonDecoder> decoder_;
    MessageBatch batch_;
    Arena arena_;
    std::vector<Column> columns_;
    MessageRows rows_;
};

struct Case {
    std::string json;
    std::string expected;
};

void check(Stream& stream, const std::vector<Case>& cases) {
    std::vector<std::string> values;
    for (const Case& c : cases) values.push_back(c.json);
    std::vector<std::string> outcome = stream.decode(values);
    for (size_t i = 0; i < cases.size(); i++) {
        EXPECT_EQ(outcome[i], cases[i].expected) << cases[i].json.substr(0, 200);
    }
}

// Each value stands for the one column's, in all its types.
void check_values(Type type, const std::vector<Case>& values) {
    Stream stream({{{"v"}, type}});
    std::vector<Case> cases;
    for (const Case& c : values) cases.push_back({"{\"v\":" + c.json + "}", c.expected});
    check(stream, cases);
    Stream unused({{{"v"}, type, false, false}});
    for (Case& c : cases) c.expected = c.expected == "?" ? "?" : "";
    check(unused, cases);
}

std::vector<Field> seed_fields() {
    return {{{"hostname"}, Type::kText},
            {{"cpu"}, Type::kText},
            {{"usage"}, Type::kFloat8, true},
            {{"occurred_at"}, Type::kInt8}};
}

TEST(JsonDecoder, TheSeedsMessages) {
    Stream stream(seed_fields());
    check(
        stream,
        {{R"({"hostname":"doc","cpu":"cpu1","usage":80.5,"occurred_at":1700000000123})",
          "doc,cpu1,80.5,1700000000123"},
         {R"({ "occurred_at" : 1 , "usage" : 2 , "cpu" : "c" , "hostname" : "h" } )", "h,c,2,1"},
         {"\n{\"usage\":\t1e2,\r\n\"other\":{\"usage\":[3,{\"usage\":4}]}}\n",
          "NULL,NULL,100,NULL"},
         {R"({"hostname":null,"usage":0})", "NULL,NULL,0,NULL"},
         {R"({"hostname":"doc","cpu":"cpu1","occurred_at":1})", "!null value in column \"usage\""},
         {R"({"usage":null})", "!null value in column \"usage\""},
         {"{}", "!null value in column \"usage\""},
         {R"({"usage":"80.5"})", "NULL,NULL,80.5,NULL"},
         {R"({"usage":true})", "?"},
         {R"({"Usage":1})", "!null value in column \"usage\""}});
}

TEST(JsonDecoder, NullAndEmptyMessages) {
    Stream stream(seed_fields());
    stream.batch().clear();
    stream.batch().add(0, 0, 0, nullptr, -1, nullptr, -1);
    stream.batch().add(0, 1, 0, "", 0, nullptr, -1);
    stream.batch().add(0, 2, 0, "  ", 2, nullptr, -1);
    EXPECT_EQ(stream.decode_batch(),
              (std::vector<std::string>{"!null message", "!empty message", "?"}));
}

TEST(JsonDecoder, Integers) {
    check_values(Type::kInt4, {{"0", "0"},
                               {"-0", "0"},
                               {"-17", "-17"},
                               {"2147483647", "2147483647"},
                               {"-2147483648", "-2147483648"},
                               {"2147483648", "?"},
                               {"1.0", "?"},
                               {"1e2", "?"},
                               {"\"5\"", "5"},
                               {"true", "?"},
                               {"[1]", "?"},
                               {"{}", "?"},
                               {"+1", "?"},
                               {"01", "?"},
                               {"-", "?"},
                               {"0x1", "?"},
                               {"1 2", "?"},
                               {"1a", "?"},
                               {"null", "NULL"}});
    check_values(Type::kInt2, {{"32767", "32767"}, {"32768", "?"}, {"-32769", "?"}});
    check_values(Type::kInt8, {{"9223372036854775807", "9223372036854775807"},
                               {"-9223372036854775808", "-9223372036854775808"},
                               {"9223372036854775808", "?"},
                               {std::string(5000, '9'), "?"}});
}

TEST(JsonDecoder, Floats) {
    check_values(Type::kFloat8, {{"0.1", "0.10000000000000001"},
                                 {"-0", "0"},
                                 {"-0.0e5", "0"},
                                 {"1e308", "1e+308"},
                                 {"1e309", "?"},
                                 {"1e-400", "?"},
                                 {"4.9e-324", "?"},
                                 {"1e99999", "?"},
                                 {"0e99999", "?"},
                                 {"9007199254740993", "9007199254740992"},
                                 {"0.1000000000000000055511151231257827", "0.10000000000000001"},
                                 {"1." + std::string(1000, '1'), "?"},
                                 {".5", "?"},
                                 {"5.", "?"},
                                 {"1e", "?"},
                                 {"NaN", "?"},
                                 {"Infinity", "?"},
                                 {"\"NaN\"", "?"}});
    check_values(Type::kFloat4, {{"0.1", "0.10000000149011612"},
                                 {"16777217", "16777216"},
                                 {"3.5e38", "?"},
                                 {"1e-40", "?"}});
}

TEST(JsonDecoder, Booleans) {
    check_values(Type::kBool, {{"true", "1"},
                               {"false", "0"},
                               {"\"true\"", "1"},
                               {"1", "?"},
                               {"tru", "?"},
                               {"truex", "?"},
                               {"True", "?"},
                               {"null", "NULL"},
                               {"nul", "?"}});
}

TEST(JsonDecoder, Texts) {
    check_values(Type::kText, {{R"("")", ""},
                               {R"("plain")", "plain"},
                               {"\"caf\xc3\xa9 \xf0\x9f\x98\x80\"", "caf\xc3\xa9 \xf0\x9f\x98\x80"},
                               {R"("\"\\\/\b\f\n\r\t")", "\"\\/\b\f\n\r\t"},
                               {R"("a\u0041\u00e9\u20ac\ud83d\ude00z")",
                                "aA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"},
                               {R"("\u001f")", "\x1f"},
                               {R"("\u0000")", "?"},
                               {R"("\ud83d")", "?"},
                               {R"("\ud83d\u0041")", "?"},
                               {R"("\ud83dxx")", "?"},
                               {R"("\ude00\ud83d")", "?"},
                               {R"("\u12")", "?"},
                               {R"("\u12g4")", "?"},
                               {R"("\u+123")", "?"},
                               {R"("\x41")", "?"},
                               {"\"tab\tinside\"", "?"},
                               {std::string("\"nul\0inside\"", 12), "?"},
                               {"\"\xff\"", "?"},
                               {"\"\xc0\x80\"", "?"},
                               {"\"\xed\xa0\x80\"", "?"},
                               {"\"\xf5\x80\x80\x80\"", "?"},
                               {"\"cut \xe2\x82\"", "?"},
                               {"1", "1"},
                               {"true", "true"},
                               {"{}", "?"},
                               {"[]", "?"},
                               {"'a'", "?"}});
}

TEST(JsonDecoder, Times) {
    check_values(Type::kTimestamptz, {{R"("2000-01-01T00:00:00Z")", "0"},
                                      {R"("2000-01-01 00:00:00+00")", "0"},
                                      {R"("2000-01-01T02:30:00+02:30")", "0"},
                                      {R"("1999-12-31T21:00:00-03:00")", "0"},
                                      {R"("2000-02-29T00:00:00.5Z")", "5097600500000"},
                                      {R"("2023-11-14T22:13:20.123456Z")", "753315200123456"},
                                      {R"("1970-01-01T00:00:00Z")", "-946684800000000"},
                                      {R"("2200-12-31T23:59:59.999999Z")", "6342969599999999"},
                                      {R"("2000-01-01T00:00:00")", "0"},
                                      {R"("2000-01-01T00:00:00.Z")", "?"},
                                      {R"("2000-01-01T00:00:00.1234567Z")", "123457"},
                                      {R"("2001-02-29T00:00:00Z")", "?"},
                                      {R"("2000-13-01T00:00:00Z")", "?"},
                                      {R"("2000-00-01T00:00:00Z")", "?"},
                                      {R"("2000-01-00T00:00:00Z")", "?"},
                                      {R"("2000-01-01T24:00:00Z")", "?"},
                                      {R"("2000-01-01T00:00:60Z")", "?"},
                                      {R"("1969-12-31T00:00:00Z")", "?"},
                                      {R"("2201-01-01T00:00:00Z")", "?"},
                                      {R"("2000-01-01T00:00:00z")", "?"},
                                      {R"("2000-01-01T00:00:00+15")", "?"},
                                      {R"("2000-01-01T00:00:00+0200")", "-7200000000"},
                                      {R"("2000-01-01T00:00:00Z ")", "?"},
                                      {R"("2000-01-01T00:00:00\u005a")", "?"},
                                      {R"("now")", "?"},
                                      {R"("")", "?"},
                                      {"946684800", "?"}});
    check_values(Type::kTimestamp, {{R"("2000-01-01T00:00:01.000001")", "1000001"},
                                    {R"("2000-01-01T00:00:01Z")", "1000000"},
                                    {R"("2000-01-01")", "?"}});
    check_values(Type::kDate, {{R"("2000-03-01")", "60"},
                               {R"("1999-12-31")", "-1"},
                               {R"("2100-02-29")", "?"},
                               {R"("2000-3-1")", "?"},
                               {R"("2000-03-01T00:00:00")", "?"}});
}

TEST(JsonDecoder, WhatIsNotOneObjectIsLeftToPostgres) {
    Stream stream(seed_fields());
    std::string good = R"({"usage":1})";
    std::vector<Case> cases;
    for (const char* json : {"[]",
                             "1",
                             "\"usage\"",
                             "null",
                             "{",
                             "}",
                             "{\"usage\"",
                             "{\"usage\":",
                             "{\"usage\":1",
                             "{\"usage\":1,",
                             "{\"usage\":1,}",
                             "{,\"usage\":1}",
                             "{\"usage\" 1}",
                             "{\"usage\":1 \"a\":2}",
                             "{\"usage\":1]",
                             "{\"usage\":1}}",
                             "{\"usage\":1}{}",
                             "{\"usage\":1} x",
                             "{\"usage\":1}1",
                             "{\"usage\":1,\"a\":\"x\":2}",
                             "{\"a\":\"x\":1,\"usage\":1}",
                             "{\"usage\":1,\"a\"}",
                             "{\"usage\":1,\"a\":}",
                             "{\"usage\":1,\"a\":[1,]}",
                             "{\"usage\":1,\"a\":[1 2]}",
                             "{\"usage\":1,\"a\":[}",
                             "{\"usage\":1,\"a\":{]}",
                             "{\"usage\":1,\"a\":[1}}",
                             "{\"usage\":1,\"a\":tru}",
                             "{\"usage\":1,\"a\":01}",
                             "{\"usage\":1,\"a\":\"open}",
                             "{\"usage\":1,a:2}",
                             "{'usage':1}",
                             "{\"usage\":1,1:2}",
                             "{\"usage\":1,\"a\":\"\x01\"}",
                             "{\"usage\":1,\"a\":\"\xff\"}",
                             "{\"usage\":1,\"\xff\":1}",
                             "{\"usage\":1:2}",
                             "{\"usage\":1,,\"a\":2}",
                             "{\"usage\":1,\"a\":\"b\"\"c\"}",
                             "\xef\xbb\xbf{\"usage\":1}",
                             "{\"usage\":\"x\":1}",
                             "{{}:1}",
                             "{\"usage\":1}\\"}) {
        cases.push_back({json, "?"});
    }
    cases.push_back({good + std::string("\0", 1), "?"});
    cases.push_back({std::string("{\"usage\":1\0}", 12), "?"});
    cases.push_back({std::string("\0", 1) + good, "?"});
    cases.push_back({good, "NULL,NULL,1,NULL"});
    check(stream, cases);
    for (const Case& c : cases) EXPECT_EQ(stream.decode_one(c.json), c.expected) << c.json;
}

TEST(JsonDecoder, EveryPrefixOfAMessageIsLeftToPostgres) {
    Stream stream(seed_fields());
    std::string whole =
        R"({"hostname":"d\u006fc","x":{"a":[1,"b",null]},"usage":1.5e1,"occurred_at":12})";
    EXPECT_EQ(stream.decode_one(whole), "doc,NULL,15,12");
    std::vector<std::string> prefixes;
    for (size_t n = 1; n < whole.size(); n++) prefixes.push_back(whole.substr(0, n));
    for (const std::string& outcome : stream.decode(prefixes)) EXPECT_EQ(outcome, "?");
}

TEST(JsonDecoder, IgnoredFieldsAreOnlyWalkedOver) {
    Stream stream(seed_fields());
    check(stream, {{R"({"usage":1,"a":"\u0000"})", "NULL,NULL,1,NULL"},
                   {R"({"usage":1,"a":1e999999})", "NULL,NULL,1,NULL"},
                   {R"({"a":{"hostname":"x","usage":"y"},"usage":1})", "NULL,NULL,1,NULL"},
                   {R"({"a":{},"b":[],"c":[[],{}],"usage":1})", "NULL,NULL,1,NULL"},
                   {R"({"":0,"usage":1})", "NULL,NULL,1,NULL"}});
}

TEST(JsonDecoder, DuplicateAndEscapedKeysAreLeftToPostgres) {
    Stream stream(seed_fields());
    check(stream, {{R"({"usage":1,"usage":2})", "?"},
                   {R"({"usage":1,"cpu":"c","hostname":"h","usage":null})", "?"},
                   {R"({"usage":null,"usage":2})", "?"},
                   {R"({"usage":1,"a":1,"a":2})", "NULL,NULL,1,NULL"},
                   {R"({"usage":1,"us\u0061ge":2})", "?"},
                   {R"({"usage":1,"a\"b":2})", "?"},
                   {R"({"usage":1})", "NULL,NULL,1,NULL"}});
}

TEST(JsonDecoder, NamesThatNeedAnEscapeAreLeftToPostgres) {
    Stream stream({{{"a\\nb"}, Type::kInt4}});
    check(stream, {{R"({"a\nb":1})", "?"}, {R"({"a":1})", "?"}});
}

TEST(JsonDecoder, NestedPaths) {
    Stream stream({{{"tags", "host"}, Type::kText},
                   {{"tags", "rack", "unit"}, Type::kInt4},
                   {{"value"}, Type::kFloat8},
                   {{"tags", "host"}, Type::kText}});
    check(stream,
          {{R"({"tags":{"host":"a","rack":{"unit":7}},"value":1})", "a,7,1,a"},
           {R"({"value":1,"host":"x","tags":{"rack":{"x":1,"unit":7},"host":"a"}})", "a,7,1,a"},
           {R"({"value":1})", "NULL,NULL,1,NULL"},
           {R"({"tags":null,"value":1})", "NULL,NULL,1,NULL"},
           {R"({"tags":{"rack":null,"host":null}})", "NULL,NULL,NULL,NULL"},
           {R"({"tags":"x"})", "?"},
           {R"({"tags":[{"host":"a"}]})", "?"},
           {R"({"tags":{"host":{"a":1}}})", "?"},
           {R"({"tags":{"host":"a"},"tags":{}})", "?"},
           {R"({"tags":{"rack":{"unit":1}},"value":2})", "NULL,1,2,NULL"}});
}

TEST(JsonDecoder, OpaqueColumns) {
    Stream stream({{{"id"}, Type::kOpaque}, {{"n"}, Type::kInt4}});
    check(stream, {{R"({"n":1})", "NULL,1"},
                   {R"({"n":1,"id":null})", "NULL,1"},
                   {R"({"n":1,"id":"x"})", "?"},
                   {R"({"n":1,"id":[1]})", "?"}});
    Stream domain({{{"id"}, Type::kOpaque, true}, {{"n"}, Type::kInt4, true}});
    check(domain, {{R"({"n":1})", "?"}, {R"({"id":null})", "!null value in column \"n\""}});
}

TEST(JsonDecoder, Metadata) {
    Stream stream({{{}, Type::kInt4, true, true, Source::kPartition},
                   {{}, Type::kInt8, true, true, Source::kOffset},
                   {{}, Type::kTimestamptz, false, true, Source::kTimestamp},
                   {{}, Type::kText, true, true, Source::kTopic},
                   {{}, Type::kText, false, true, Source::kKey},
                   {{"n"}, Type::kInt4}});
    MessageBatch& batch = stream.batch();
    auto add = [&batch](int64_t offset, int64_t time_ms, const char* value, const char* key) {
        batch.add(5, offset, time_ms, value, static_cast<int32_t>(std::strlen(value)), key,
                  key == nullptr ? -1 : static_cast<int32_t>(std::strlen(key)));
    };
    add(int64_t{1} << 40, 946684800001, R"({"n":1})", "k\xc3\xa9");
    add(2, -1, R"({"n":2})", nullptr);
    add(3, 0, R"({"n":3})", "\xff");
    add(4, int64_t{1} << 60, R"({"n":4})", "");
    add(5, -2, R"({"n":5})", "");
    add(6, 946684800001, R"({"n":"x6"})", "six");
    EXPECT_EQ(stream.decode_batch(),
              (std::vector<std::string>{
                  "5,1099511627776,1000,cpu_load,k\xc3\xa9,1", "5,2,NULL,cpu_load,NULL,2",
                  "!message key is not text in UTF-8", "!message timestamp out of range",
                  "!message timestamp out of range", "?"}));
    // PostgreSQL adds only the fields of a row it judges.
    EXPECT_EQ(stream.column(1).int_at(5), 6);
    EXPECT_EQ(stream.column(4).text_at(5), "six");

    Stream strict({{{}, Type::kText, true, false, Source::kKey},
                   {{}, Type::kTimestamptz, true, false, Source::kTimestamp}});
    strict.batch().add(0, 0, 1, "{}", 2, nullptr, -1);
    strict.batch().add(0, 0, -1, "{}", 2, "k", 1);
    EXPECT_EQ(strict.decode_batch(),
              (std::vector<std::string>{"!message key is null", "!message timestamp is null"}));
}

TEST(JsonDecoder, OtherEncodingsTakeAsciiOnly) {
    Stream stream({{{"v"}, Type::kText}, {{}, Type::kText, false, true, Source::kKey}}, false);
    check(stream, {{R"({"v":"plain\n\u0041"})", "plain\nA,key"},
                   {"{\"v\":\"caf\xc3\xa9\"}", "?"},
                   {R"({"v":"caf\u00e9"})", "?"},
                   {"{\"v\":\"a\",\"other\":\"caf\xc3\xa9\"}", "?"}});
}

TEST(JsonDecoder, DeepNesting) {
    Stream stream(seed_fields());
    auto nested = [](size_t depth, char open, char close) {
        return "{\"usage\":1,\"a\":" + std::string(depth, open) + std::string(depth, close) + "}";
    };
    EXPECT_EQ(stream.decode_one(nested(60, '[', ']')), "NULL,NULL,1,NULL");
    EXPECT_EQ(stream.decode_one(nested(65, '[', ']')), "?");
    EXPECT_EQ(stream.decode_one(nested(1'000'000, '[', ']')), "?");
    EXPECT_EQ(stream.decode_one(nested(1'000'000, '[', 'x')), "?");
    std::string objects = "{\"usage\":1,\"a\":";
    for (int i = 0; i < 200'000; i++) objects += "{\"a\":";
    EXPECT_EQ(stream.decode_one(objects), "?");
}

TEST(JsonDecoder, LargeMessages) {
    Stream stream(seed_fields());
    std::string text(1 << 20, 'x');
    EXPECT_EQ(stream.decode_one("{\"usage\":1,\"hostname\":\"" + text + "\"}"),
              text + ",NULL,1,NULL");
    std::string escaped;
    for (int i = 0; i < 100'000; i++) escaped += "\\u00e9\\n";
    EXPECT_EQ(stream.decode_one("{\"usage\":1,\"hostname\":\"" + escaped + "\"}").size(),
              300'000 + std::string(",NULL,1,NULL").size());
    EXPECT_EQ(stream.decode_one("{\"usage\":1,\"a\":\"" + std::string(5 << 20, 'x') + "\"}"), "?");
    EXPECT_EQ(stream.decode_one(R"({"usage":2})"), "NULL,NULL,2,NULL");
}

TEST(JsonDecoder, KeysInAnyOrderFromMessageToMessage) {
    Stream stream({{{"a"}, Type::kInt4}, {{"b"}, Type::kInt4}, {{"c"}, Type::kInt4}});
    std::vector<Case> cases;
    for (int round = 0; round < 3; round++) {
        cases.push_back({R"({"a":1,"b":2,"c":3})", "1,2,3"});
        cases.push_back({R"({"c":3,"b":2,"a":1})", "1,2,3"});
        cases.push_back({R"({"b":2,"x":0,"a":1})", "1,2,NULL"});
        cases.push_back({R"({"ab":0,"c":3})", "NULL,NULL,3"});
        cases.push_back({R"({"a":1,"c":3,"aa":9})", "1,NULL,3"});
    }
    check(stream, cases);
}

// A message that is nearly like the one before it is read as if nothing had come before.
TEST(JsonDecoder, TheMessageBeforeChangesNothing) {
    const std::vector<Field> fields = {{{"host"}, Type::kText, true},
                                       {{"usage"}, Type::kFloat8},
                                       {{"at"}, Type::kInt8},
                                       {{"t", "b"}, Type::kBool},
                                       {{"when"}, Type::kTimestamptz}};
    const std::string before =
        R"( {"host": "a\u00e9", "usage" : -0.25e1, "at":12 ,"t":{"b":true,"x":[1,"Ã©"]},)"
        R"( "other": null, "when":"2026-01-01T00:00:00Z"} )";
    const std::string plain =
        R"( {"host": "abc", "usage" : 93.25, "at":12 ,"t":{"b":true,"x":[1,"Ã©"]},)"
        R"( "other": null, "when":"2026-01-01T00:00:00Z"} )";
    const std::string bytes = "\"\\{}[],:.-+eE019 tfn\n\x01\xc3\xff";
    std::mt19937 random(7);
    auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
    int good = 0;
    for (int i = 0; i < 20000; i++) {
        std::string mutated = plain;
        for (size_t edits = below(3); edits < 3; edits++) {
            size_t at = below(mutated.size());
            size_t kind = below(3);
            if (kind == 0) mutated.erase(at, 1 + below(4));
            if (kind == 1) mutated.insert(at, 1, bytes[below(bytes.size())]);
            if (kind == 2) mutated[at] = bytes[below(bytes.size())];
        }
        Stream alone(fields);
        Stream follower(fields);
        const std::string expected = alone.decode_one(mutated);
        EXPECT_EQ(follower.decode({i % 2 == 0 ? before : plain, mutated, plain})[1], expected)
            << mutated;
        good += expected[0] != '?' && expected[0] != '!' ? 1 : 0;
    }
    EXPECT_GT(good, 1000);
}

TEST(JsonDecoder, NumbersOfTheSameLayout) {
    Stream stream({{{"d"}, Type::kFloat8}, {{"i"}, Type::kInt8}, {{"s"}, Type::kInt2}});
    std::vector<Case> cases;
    for (const char* text : {"0", "-0", "0.0", "-0.0", "1", "-1", "83.53644711533614", "0.1",
                             "97.34074143733531", "9007199254740992", "9007199254740993",
                             "9007199254740993.0", "123456789012345678901234567890", "1e3",
                             "0.0000000000000000000001", "1.5e-300", "179769313486231570000.5"}) {
        std::array<char, 40> expected{};
        double value = std::strtod(text, nullptr);
        std::snprintf(expected.data(), expected.size(), "%.17g", value == 0 ? 0.0 : value);
        cases.push_back({std::string(R"({"d":)") + text + R"(,"i":1,"s":2})",
                         std::string(expected.data()) + ",1,2"});
    }
    for (const char* text : {"999999999999999999", "-999999999999999999", "9223372036854775807",
                             "-9223372036854775808"})
        cases.push_back(
            {std::string(R"({"d":1,"i":)") + text + R"(,"s":2})", std::string("1,") + text + ",2"});
    cases.push_back({R"({"d":1,"i":-0,"s":-32768})", "1,0,-32768"});
    for (const char* text : {"9223372036854775808", "-9223372036854775809", "1.0", "1e2", "01",
                             "99999999999999999999999"})
        cases.push_back({std::string(R"({"d":1,"i":)") + text + R"(,"s":2})", "?"});
    cases.push_back({R"({"d":1,"i":1,"s":32768})", "?"});
    check(stream, cases);
}

TEST(JsonDecoder, TextsWithoutEscapesAreNotCopied) {
    Stream stream({{{"v"}, Type::kText}});
    stream.decode_one(R"({"v":"plain"})");
    std::string_view value = stream.batch().value(0);
    std::string_view text = stream.column(0).text_at(0);
    EXPECT_EQ(text.data(), value.data() + 6);
}

}  // namespace
}  // namespace anomaly
