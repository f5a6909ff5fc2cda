// Decoders of CSV, raw messages and JSON with rows: which rows a message gives, what they hold, and
// what is left to PostgreSQL ("?") or bad ("!reason").
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/decode/decoder.h"

namespace anomaly {
namespace {

using Rows = std::vector<std::string>;

class Fixture {
  public:
    explicit Fixture(Format format) {
        spec_.topic = "topic";
        spec_.event_time = -1;
        spec_.format = format;
        spec_.csv = {',', '"', '"', false, ""};
    }

    StreamSpec& spec() { return spec_; }
    StreamColumnSpec& add(Type type, const char* name) {
        StreamColumnSpec column{nullptr, 0, type, Source::kField, false, true, {nullptr, 0, type}};
        column.name = name;
        columns_.push_back(column);
        return columns_.back();
    }

    // A batch; each row as "message:values".
    Rows decode(const std::vector<std::string>& messages) {
        names_.clear();
        for (StreamColumnSpec& column : columns_) names_.push_back(column.name);
        for (size_t c = 0; c < columns_.size(); c++) {
            if (columns_[c].path == nullptr) columns_[c].path = &names_[c];
            if (columns_[c].path_count == 0) columns_[c].path_count = 1;
            if (columns_[c].path_count < 0) columns_[c].path_count = 0;
        }
        spec_.columns = columns_.data();
        spec_.column_count = static_cast<int32_t>(columns_.size());
        decoder_ = make_decoder(spec_, true);
        batch_.clear();
        for (const std::string& message : messages) {
            auto size = static_cast<int32_t>(message.size());
            bool null = message == "NULL";
            batch_.add(0, 0, 0, message.data(), null ? -1 : size, nullptr, -1);
        }
        batch_.finish();
        decoder_->decode(batch_, arena_, values_, rows_);
        Rows result;
        for (int32_t row = 0; row < rows_.size(); row++) result.push_back(describe(row));
        return result;
    }
    TextField field(int32_t row, int32_t column) const { return decoder_->field(row, column); }

  private:
    std::string describe(int32_t row) const {
        std::string text = std::to_string(rows_.message_at(row)) + ":";
        const RowState& state = rows_.state(row);
        if (state.status == RowStatus::kBad) return text + "!" + state.reason;
        if (state.status == RowStatus::kUnsure) return text + "?";
        for (size_t c = 0; c < values_.size(); c++) {
            const Column& column = values_[c];
            text += c == 0 ? "" : "|";
            if (column.is_null(row)) {
                text += "NULL";
            } else if (has_bytes(column.type)) {
                text += column.text_at(row);
            } else {
                text += std::to_string(column.int_at(row));
            }
        }
        return text;
    }

    StreamSpec spec_{};
    std::vector<StreamColumnSpec> columns_;
    std::vector<const char*> names_;
    std::unique_ptr<Decoder> decoder_;
    MessageBatch batch_;
    Arena arena_;
    std::vector<Column> values_;
    MessageRows rows_;
};

TEST(CsvDecoder, LinesAreRows) {
    Fixture csv(Format::kCsv);
    csv.add(Type::kInt4, "n");
    csv.add(Type::kText, "t");
    EXPECT_EQ(
        csv.decode({"1,a", "2,b\n3,c\r\n", "4,\"x,\"\"y\"\"\nz\"", ",", "5,\"\"", "6,a\"b\"c"}),
        (Rows{"0:1|a", "1:2|b", "1:3|c", "2:4|x,\"y\"\nz", "3:NULL|NULL", "4:5|", "5:6|abc"}));
    EXPECT_EQ(csv.decode({"1", "1,2,3", "1,a\n2", "1,\"a", "1,a\rb", "", "NULL"}),
              (Rows{"0:!line 1 has 1 field, the stream has 2 columns for them",
                    "1:!line 1 has 3 fields, the stream has 2 columns for them",
                    "2:!line 2 has 1 field, the stream has 2 columns for them",
                    "3:!a quoted CSV field does not end",
                    "4:!there is a carriage return outside of quotes", "5:!empty message",
                    "6:!null message"}));
}

TEST(CsvDecoder, WhatIsUncertainIsKeptForPostgres) {
    Fixture csv(Format::kCsv);
    csv.add(Type::kInt4, "n");
    csv.add(Type::kText, "t");
    EXPECT_EQ(csv.decode({"1,a\n +2,b", "3,\xff"}), (Rows{"0:1|a", "0:?", "1:?"}));
    EXPECT_EQ(csv.field(1, 0), " +2");
    EXPECT_EQ(csv.field(1, 1), "b");
    EXPECT_EQ(csv.field(2, 1), "\xff");
}

TEST(CsvDecoder, Options) {
    Fixture csv(Format::kCsv);
    csv.spec().csv = {';', '\'', '\\', true, "-"};
    csv.add(Type::kInt4, "n");
    csv.add(Type::kText, "t");
    EXPECT_EQ(csv.decode({"n;t\n1;'it\\'s'\n2;-\n3;'-'", "n;t"}),
              (Rows{"0:1|it's", "0:2|NULL", "0:3|-"}));
}

TEST(CsvDecoder, NullForNotNull) {
    Fixture csv(Format::kCsv);
    csv.add(Type::kInt4, "n").not_null = true;
    EXPECT_EQ(csv.decode({"1", "\n"}), (Rows{"0:1", "1:!null value in column \"n\""}));
}

TEST(RawDecoder, TheWholeMessage) {
    Fixture text(Format::kRaw);
    text.add(Type::kText, "body");
    EXPECT_EQ(text.decode({"any\n", "", "NULL", "\xff"}), (Rows{"0:any\n", "1:", "2:NULL", "3:?"}));
    Fixture bytes(Format::kRaw);
    bytes.add(Type::kBytea, "body");
    EXPECT_EQ(bytes.decode({"\xff"}), (Rows{"0:\xff"}));
}

TEST(JsonRows, ElementsAreRows) {
    static const char* const kHost[] = {"host"};
    static const char* const kMetrics[] = {"metrics"};
    Fixture json(Format::kJson);
    json.spec().has_rows = true;
    json.spec().rows_path = kMetrics;
    json.spec().rows_path_count = 1;
    json.add(Type::kInt4, "v").not_null = true;
    StreamColumnSpec& host = json.add(Type::kText, "host");
    host.path = kHost;
    host.path_count = 1;
    host.of_message = true;
    EXPECT_EQ(json.decode({R"({"metrics":[{"v":1},{"v":2}],"host":"h"})", R"({"metrics":[]})",
                           R"({"host":"x"})", R"({"host":"y","metrics":[{"v":3}]})"}),
              (Rows{"0:1|h", "0:2|h", "3:3|y"}));
    EXPECT_EQ(json.decode({R"({"metrics":[{"v":1},{"v":"x"}]})", R"({"metrics":[{"v":1},{}]})",
                           R"({"metrics":{"v":1}})", R"({"metrics":[{"v":1},2]})",
                           R"({"metrics":[{"v":1}]} x)", R"({"metrics":[{"v":1}],"metrics":[]})"}),
              (Rows{"0:?", "1:!null value in column \"v\"", "2:?", "3:?", "4:?", "5:?"}));
}

TEST(JsonRows, AnArrayOfScalars) {
    Fixture json(Format::kJson);
    json.spec().has_rows = true;
    json.add(Type::kInt4, "v").path_count = -1;  // the element itself
    EXPECT_EQ(json.decode({"[1, 2,null]", " [] ", "{}"}), (Rows{"0:1", "0:2", "0:NULL", "2:?"}));
}

TEST(JsonValues, NumericAndJsonbKeepTheirTexts) {
    Fixture json(Format::kJson);
    json.add(Type::kNumeric, "n");
    json.add(Type::kJsonb, "j");
    EXPECT_EQ(json.decode({R"({"n":-0.00,"j":{"a" : [1, {}]} })", R"({"n":12.50,"j":"x"})",
                           R"({"n":1e3})", R"({"j":{"a":"\u0000"}})", R"({"n":"-7"})"}),
              (Rows{"0:0.00|{\"a\" : [1, {}]}", "1:12.50|\"x\"", "2:?", "3:?", "4:-7|NULL"}));
    Fixture limited(Format::kJson);
    StreamColumnSpec& column = limited.add(Type::kNumeric, "n");
    column.precision = 5;
    column.scale = 2;
    EXPECT_EQ(limited.decode({R"({"n":1})", R"({"n":123.4})", R"({"n":1.234})", R"({"n":1234})"}),
              (Rows{"0:1.00", "1:123.40", "2:?", "3:?"}));
}

TEST(JsonValues, EpochTimes) {
    Fixture json(Format::kJson);
    json.add(Type::kTimestamptz, "t").unit = TimeUnit::kMillisecond;
    json.add(Type::kTimestamptz, "n").unit = TimeUnit::kNanosecond;
    EXPECT_EQ(
        json.decode({R"({"t":946684800001.5,"n":946684800000000500})", R"({"t":"946684800000"})",
                     R"({"t":1e3})", R"({"t":99999999999999999})"}),
        (Rows{"0:1500|1", "1:0|NULL", "2:?", "3:?"}));
}

}  // namespace
}  // namespace anomaly
