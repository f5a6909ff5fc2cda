// Fuzz target of the decoders of CSV, raw messages and JSON with rows. Rows belong to their
// messages in order; what is good comes back the same when it is written and read once more; rows
// of JSON are as many as simdjson's other parser finds. With ANOMALY_LIBFUZZER the fuzzer drives
// it, without it a fixed sequence of mutations does, as a test: decode_formats [count [seed]].
#include <simdjson.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/decode/decoder.h"

namespace {

using anomaly::Column;
using anomaly::RowStatus;
using anomaly::Type;

void require(bool holds, const char* what, std::string_view message) {
    if (holds) return;
    std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(message.size()), message.data());
    __builtin_trap();
}

struct Result {
    anomaly::MessageBatch batch;
    anomaly::Arena arena;
    std::vector<Column> columns;
    anomaly::MessageRows rows;
};

// Columns: a text, a number and a jsonb, of JSON as fields of rows, and a text of the message.
std::unique_ptr<anomaly::Decoder> make(anomaly::Format format) {
    static const char* const paths[][1] = {{"text"}, {"number"}, {"tree"}, {"host"}};
    static const char* const rows_path[] = {"rows"};
    constexpr Type types[] = {Type::kText, Type::kNumeric, Type::kJsonb, Type::kText};
    size_t count = format == anomaly::Format::kJson ? 4 : format == anomaly::Format::kCsv ? 2 : 1;
    std::vector<anomaly::StreamColumnSpec> columns;
    for (size_t c = 0; c < count; c++) {
        columns.push_back(
            {paths[c], 1, types[c], anomaly::Source::kField, false, true, {nullptr, 0, types[c]}});
        columns.back().of_message = c == 3;
    }
    anomaly::StreamSpec stream{};
    stream.topic = "fuzz";
    stream.columns = columns.data();
    stream.column_count = static_cast<int32_t>(columns.size());
    stream.event_time = -1;
    stream.format = format;
    stream.csv = {',', '"', '\\', false, "-"};
    stream.has_rows = format == anomaly::Format::kJson;
    stream.rows_path = rows_path;
    stream.rows_path_count = 1;
    return make_decoder(stream, true);
}

void decode(anomaly::Decoder& decoder, std::string_view message, Result& out) {
    out.batch.add(0, 0, 0, message.data(), static_cast<int32_t>(message.size()), nullptr, -1);
    out.batch.add(0, 1, 0, "x", 1, nullptr, -1);
    out.batch.finish();
    decoder.decode(out.batch, out.arena, out.columns, out.rows);
    for (const Column& column : out.columns) {
        require(column.row_count() == out.rows.size(), "rows of a column", message);
    }
    int32_t last = 0;
    for (int32_t row = 0; row < out.rows.size(); row++) {
        require(out.rows.message_at(row) >= last, "order of rows", message);
        last = out.rows.message_at(row);
        if (out.rows.state(row).status == RowStatus::kGood) continue;
        for (const Column& column : out.columns) require(column.is_null(row), "left over", message);
    }
}

bool all_good(const Result& result) {
    for (int32_t row = 0; row < result.rows.size(); row++) {
        if (result.rows.message_at(row) != 0) return true;
        if (result.rows.state(row).status != RowStatus::kGood) return false;
    }
    return true;
}

void append_quoted(const Column& column, int32_t row, std::string& out) {
    if (column.is_null(row)) {
        out += '-';
        return;
    }
    out += '"';
    for (char c : column.text_at(row)) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    out += '"';
}

void check_csv(std::string_view message) {
    static const std::unique_ptr<anomaly::Decoder> decoder = make(anomaly::Format::kCsv);
    Result first;
    decode(*decoder, message, first);
    if (!all_good(first)) return;
    std::string again;
    int32_t count = 0;
    for (; count < first.rows.size() && first.rows.message_at(count) == 0; count++) {
        append_quoted(first.columns[0], count, again);
        again += ',';
        append_quoted(first.columns[1], count, again);
        again += '\n';
    }
    if (count == 0) return;
    Result second;
    decode(*decoder, again, second);
    for (int32_t row = 0; row < count; row++) {
        require(second.rows.size() > row && second.rows.message_at(row) == 0, "row", message);
        for (size_t c = 0; c < 2; c++) {
            bool same = first.columns[c].is_null(row) == second.columns[c].is_null(row) &&
                        (first.columns[c].is_null(row) ||
                         first.columns[c].text_at(row) == second.columns[c].text_at(row));
            require(same, "CSV does not come back", message);
        }
    }
}

void check_raw(std::string_view message) {
    static const std::unique_ptr<anomaly::Decoder> decoder = make(anomaly::Format::kRaw);
    Result result;
    decode(*decoder, message, result);
    require(result.rows.size() == 2, "raw rows", message);
    bool good = result.rows.state(0).status == RowStatus::kGood;
    require(!good || result.columns[0].text_at(0) == message, "raw text", message);
    require(good || decoder->field(0, 0) == message, "raw field", message);
}

void check_rows(std::string_view message) {
    static const std::unique_ptr<anomaly::Decoder> decoder = make(anomaly::Format::kJson);
    Result result;
    decode(*decoder, message, result);
    if (!all_good(result)) return;
    size_t count = 0;
    while (count < result.rows.messages.size() && result.rows.messages[count] == 0) count++;
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    // It may object to scalars that no column names.
    if (parser.parse(message.data(), message.size()).get(root) != simdjson::SUCCESS) return;
    simdjson::dom::array rows;
    bool has_rows = root["rows"].get(rows) == simdjson::SUCCESS;
    require(has_rows ? rows.size() == count : count == 0, "number of rows", message);
    for (size_t i = 0; i < count; i++) {
        std::string_view text;
        if (rows.at(i)["text"].get(text) != simdjson::SUCCESS) continue;
        require(result.columns[0].text_at(static_cast<int32_t>(i)) == text, "text", message);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view message(reinterpret_cast<const char*>(data), size);
    check_csv(message);
    check_raw(message);
    check_rows(message);
    return 0;
}

#ifndef ANOMALY_LIBFUZZER
namespace {

constexpr std::string_view kSeeds[] = {
    "a,1\n\"b \\\"c\\\"\",2.50\n",
    "x,-0\r\n-,-\r\n",
    R"({"rows":[{"text":"a","number":1.0},{"tree":{"a":[1,"\u00e9"]}}],"host":"h"})",
    R"({"host":null,"rows":[],"rows":[{"text":1}]})",
};
constexpr std::string_view kPieces[] = {"\"",
                                        "\\",
                                        ",",
                                        "\n",
                                        "\r",
                                        "\r\n",
                                        "-",
                                        "1",
                                        ".5",
                                        "\"\"",
                                        "[",
                                        "]",
                                        "{",
                                        "}",
                                        ":",
                                        "{}",
                                        "[]",
                                        "null",
                                        " ",
                                        "é",
                                        "\xff",
                                        "\"rows\":[",
                                        std::string_view("\0", 1),
                                        "\"text\":\"t\""};

void mutate(std::string& message, std::mt19937& random) {
    size_t at = random() % (message.size() + 1);
    std::string_view piece = kPieces[random() % std::size(kPieces)];
    switch (random() % 4) {
        case 0:
            message.insert(at, piece);
            break;
        case 1:
            message.erase(at, 1 + random() % 4);
            break;
        case 2:
            message.replace(at, 1, piece);
            break;
        default:
            message.insert(at, message.substr(random() % (message.size() + 1), random() % 20));
    }
}

}  // namespace

int main(int argc, char** argv) {
    long count = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 50'000;
    std::mt19937 random(argc > 2 ? static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)) : 1);
    for (long i = 0; i < count; i++) {
        std::string message(kSeeds[random() % std::size(kSeeds)]);
        for (size_t n = random() % 5; n > 0; n--) mutate(message, random);
        LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(message.data()), message.size());
    }
    return 0;
}
#endif
