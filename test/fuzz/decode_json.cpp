// Fuzz target of the JSON decoder. Whatever it calls good has to be what simdjson's other parser,
// which checks a whole document, reads; that one may object to escapes and numbers in fields that
// no column names, nothing else. With ANOMALY_LIBFUZZER the fuzzer drives it, without it a fixed
// sequence of mutations does, as a test: decode_json [count [seed]].
#include <simdjson.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/decode/json_decoder.h"

namespace {

using anomaly::Column;
using anomaly::Type;

constexpr size_t kText = 0, kInteger = 1, kNumber = 2, kNested = 3, kTime = 4;

void require(bool holds, const char* what, std::string_view json) {
    if (holds) return;
    std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(json.size()), json.data());
    __builtin_trap();
}

anomaly::JsonDecoder make_decoder() {
    static const char* paths[][2] = {{"text"}, {"integer"}, {"number"}, {"tags", "host"}, {"time"}};
    constexpr Type types[] = {Type::kText, Type::kInt8, Type::kFloat8, Type::kText,
                              Type::kTimestamptz};
    std::vector<anomaly::StreamColumnSpec> columns;
    for (size_t c = 0; c < 5; c++) {
        columns.push_back({paths[c],
                           c == kNested ? 2 : 1,
                           types[c],
                           anomaly::Source::kField,
                           false,
                           true,
                           {nullptr, 0, types[c]}});
    }
    anomaly::StreamSpec stream{};
    stream.topic = "fuzz";
    stream.columns = columns.data();
    stream.column_count = static_cast<int32_t>(columns.size());
    stream.event_time = -1;
    return anomaly::JsonDecoder(stream, true);
}

// The rest is about escapes and numbers; how those errors are named depends on simdjson's version.
bool is_about_structure(simdjson::error_code error) {
    switch (error) {
        case simdjson::TAPE_ERROR:
        case simdjson::DEPTH_ERROR:
        case simdjson::T_ATOM_ERROR:
        case simdjson::F_ATOM_ERROR:
        case simdjson::N_ATOM_ERROR:
        case simdjson::UTF8_ERROR:
        case simdjson::EMPTY:
        case simdjson::UNESCAPED_CHARS:
        case simdjson::UNCLOSED_STRING:
            return true;
        default:
            return false;
    }
}

using Found = simdjson::simdjson_result<simdjson::dom::element>;

// Numbers, true and false have a text too; a number may come in a string.
void check_text(const Column& column, const Found& found, std::string_view json) {
    std::string_view text;
    bool is_text = found.get(text) == simdjson::SUCCESS;
    bool is_scalar = found.is_number() || found.is_bool();
    require(column.is_null(0) ? !is_text && !is_scalar : is_text || is_scalar, "text", json);
    require(!is_text || column.text_at(0) == text, "text", json);
}

bool is_string(const Found& found) {
    std::string_view text;
    return found.get(text) == simdjson::SUCCESS;
}

void check_values(const std::vector<Column>& columns, const simdjson::dom::element& root,
                  std::string_view json) {
    check_text(columns[kText], root["text"], json);
    check_text(columns[kNested], root["tags"]["host"], json);
    int64_t integer = 0;
    bool is_integer = root["integer"].get(integer) == simdjson::SUCCESS;
    require(is_integer ? columns[kInteger].int_at(0) == integer
                       : columns[kInteger].is_null(0) || is_string(root["integer"]),
            "integer", json);
    double number = 0;
    bool is_number = root["number"].get(number) == simdjson::SUCCESS;
    require(is_number ? columns[kNumber].float_at(0) == number
                      : columns[kNumber].is_null(0) || is_string(root["number"]),
            "number", json);
    std::string_view time;
    bool is_time = root["time"].get(time) == simdjson::SUCCESS;
    require(columns[kTime].is_null(0) != is_time, "time", json);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static anomaly::JsonDecoder decoder = make_decoder();
    std::string_view json(reinterpret_cast<const char*>(data), size);
    anomaly::MessageBatch batch;
    batch.add(0, 0, 0, data, static_cast<int32_t>(size), nullptr, -1);
    batch.finish();
    anomaly::Arena arena;
    std::vector<Column> columns;
    anomaly::MessageRows rows;
    decoder.decode(batch, arena, columns, rows);
    if (rows.state(0).status != anomaly::RowStatus::kGood) {
        for (const Column& column : columns) require(column.is_null(0), "left over", json);
        return 0;
    }
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    simdjson::error_code error = parser.parse(data, size).get(root);
    if (error == simdjson::SUCCESS) {
        check_values(columns, root, json);
    } else {
        require(!is_about_structure(error), "not well-formed", json);
    }
    return 0;
}

#ifndef ANOMALY_LIBFUZZER
namespace {

constexpr std::string_view kSeeds[] = {
    R"({"text":"a\u00e9\n","integer":-12,"number":1.5e3,"tags":{"host":"h"}})",
    R"({"time":"2023-11-14T22:13:20.5Z","x":[1,{"text":"y"},[],null,true]})",
    R"( { "tags" : null , "text" : "\ud83d\ude00" , "integer" : 9223372036854775807 } )",
    R"({"number":-0.0,"other":"\"\\\/","tags":{"rack":7}})",
};
constexpr std::string_view kPieces[] = {"{",         "}",
                                        "[",         "]",
                                        ",",         ":",
                                        "\"",        "\\",
                                        "\\u",       "\\ud83d",
                                        " ",         "0",
                                        "-",         ".",
                                        "e9",        "null",
                                        "true",      std::string_view("\0", 1),
                                        "\xff",      "\xc3",
                                        "\"text\":", "\"integer\":1",
                                        "{}",        "\n"};

void mutate(std::string& json, std::mt19937& random) {
    size_t at = random() % (json.size() + 1);
    std::string_view piece = kPieces[random() % std::size(kPieces)];
    switch (random() % 4) {
        case 0:
            json.insert(at, piece);
            break;
        case 1:
            json.erase(at, 1 + random() % 4);
            break;
        case 2:
            json.replace(at, 1, piece);
            break;
        default:  // a part of it once more, elsewhere
            json.insert(at, json.substr(random() % (json.size() + 1), random() % 20));
    }
}

}  // namespace

int main(int argc, char** argv) {
    long count = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 50'000;
    std::mt19937 random(argc > 2 ? static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)) : 1);
    for (long i = 0; i < count; i++) {
        std::string json(kSeeds[random() % std::size(kSeeds)]);
        for (size_t n = random() % 4; n > 0; n--) mutate(json, random);
        LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(json.data()), json.size());
    }
    return 0;
}
#endif
