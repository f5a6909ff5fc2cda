#include "core/decode/schema_guess.h"

#include <simdjson.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "core/decode/iso_time.h"

namespace anomaly {
namespace {

namespace dom = simdjson::dom;

// An object with more names than this is a map from data to data, and no row.
constexpr size_t kNamesMax = 200;
// PostgreSQL's limit of columns, less some for the metadata.
constexpr size_t kColumnsMax = 1500;
constexpr int kDepthMax = 16;

// What a field's values were, as bits.
enum Seen : uint32_t {
    kBool = 1,
    kInteger = 2,
    kBigInteger = 4,  // beyond bigint
    kFloat = 8,
    kTime = 16,  // ISO 8601
    kDate = 32,
    kUuid = 64,
    kText = 128,
    kArray = 256,
    kObject = 512,
};

bool is_uuid(std::string_view text) {
    if (text.size() != 36) return false;
    for (size_t i = 0; i < text.size(); i++) {
        const bool is_hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_hyphen ? text[i] != '-' : std::isxdigit(static_cast<unsigned char>(text[i])) == 0)
            return false;
    }
    return true;
}

Seen text_kind(std::string_view text) {
    uint64_t cell = 0;
    if (parse_iso_timestamp(text, &cell)) return kTime;
    if (parse_iso_date(text, &cell)) return kDate;
    return is_uuid(text) ? kUuid : kText;
}

// Numbers from 2001 to 2100 by the unit; seconds are too much like other numbers to be taken for a
// time without a name that says so.
constexpr double kFirstTime_s = 1e9;
constexpr double kLastTime_s = 4102444800.0;

bool sounds_like_a_time(std::string_view name) {
    std::string lower(name);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    for (const char* word : {"time", "stamp", "date", "epoch", "occurred", "created", "when"})
        if (lower.find(word) != std::string::npos) return true;
    return lower == "ts" || lower == "t" || lower == "at" || lower.ends_with("_at") ||
           lower.ends_with("_ts");
}

int64_t units_per_second(std::string_view name, double least, double most) {
    for (const int64_t units : {int64_t{1}, int64_t{1000}, int64_t{1000000}, int64_t{1000000000}}) {
        const double scale = static_cast<double>(units);
        if (least < kFirstTime_s * scale || most > kLastTime_s * scale) continue;
        return units > 1 || sounds_like_a_time(name) ? units : 0;
    }
    return 0;
}

}  // namespace

class SchemaGuess::Parser {
  public:
    dom::parser json;
    std::string padded;
};

struct SchemaGuess::Field {
    std::string name;
    uint32_t seen = 0;
    int64_t count = 0;  // messages in which it was not null
    int64_t last_message = 0;
    double least = HUGE_VAL;
    double most = -HUGE_VAL;
    std::vector<std::unique_ptr<Field>> fields;
    std::map<std::string, Field*, std::less<>> by_name;

    Field& child(std::string_view child_name) {
        const auto found = by_name.find(child_name);
        if (found != by_name.end()) return *found->second;
        fields.push_back(std::make_unique<Field>());
        fields.back()->name = child_name;
        by_name.emplace(child_name, fields.back().get());
        return *fields.back();
    }
    // Whether what is under it becomes columns.
    bool is_descended() const {
        return seen == kObject && !fields.empty() && fields.size() <= kNamesMax;
    }
    void add_number(double number) {
        least = std::min(least, number);
        most = std::max(most, number);
    }
    void add(const dom::object& object, int64_t message, int depth);
    void add_value(const dom::element& value, int64_t message, int depth);
    const char* type() const;
    void collect(int64_t message_count, std::vector<GuessedColumn>& out) const;
};

const char* SchemaGuess::Field::type() const {
    if ((seen & (kArray | kObject)) != 0) return "jsonb";
    if (seen == kBool) return "boolean";
    if (seen == kInteger) return "bigint";
    if ((seen & ~uint32_t{kInteger | kBigInteger}) == 0 && seen != 0) return "numeric";
    if ((seen & ~uint32_t{kInteger | kBigInteger | kFloat}) == 0 && seen != 0)
        return "double precision";
    if (seen == kTime) return "timestamp with time zone";
    if (seen == kDate) return "date";
    if (seen == kUuid) return "uuid";
    return "text";
}

SchemaGuess::SchemaGuess() : parser_(new Parser), root_(new Field) {}
SchemaGuess::~SchemaGuess() = default;

bool SchemaGuess::add(std::string_view message) {
    parser_->padded.assign(message);
    parser_->padded.append(simdjson::SIMDJSON_PADDING, '\0');
    dom::object object;
    if (parser_->json.parse(parser_->padded.data(), message.size(), false).get(object))
        return false;
    message_count_++;
    root_->add(object, message_count_, 0);
    return true;
}

void SchemaGuess::Field::add(const dom::object& object, int64_t message, int depth) {
    for (const dom::key_value_pair pair : object) {
        if (fields.size() > 2 * kColumnsMax && !by_name.contains(pair.key)) continue;
        if (pair.key.empty() || pair.key.find('\0') != std::string_view::npos) continue;
        Field& field = child(pair.key);
        if (pair.value.is_null()) continue;
        // Of duplicate names the last counts, for PostgreSQL; here each says something.
        if (field.last_message != message) field.count++;
        field.last_message = message;
        field.add_value(pair.value, message, depth);
    }
}

void SchemaGuess::Field::add_value(const dom::element& value, int64_t message, int depth) {
    switch (value.type()) {
        case dom::element_type::BOOL:
            seen |= kBool;
            break;
        case dom::element_type::INT64:
            seen |= kInteger;
            add_number(static_cast<double>(int64_t{value}));
            break;
        case dom::element_type::UINT64:
            seen |= kBigInteger;
            add_number(static_cast<double>(uint64_t{value}));
            break;
        case dom::element_type::DOUBLE:
            seen |= kFloat;
            add_number(double{value});
            break;
        case dom::element_type::STRING:
            seen |= text_kind(std::string_view{value});
            break;
        case dom::element_type::OBJECT:
            seen |= kObject;
            if (depth + 1 < kDepthMax) add(dom::object{value}, message, depth + 1);
            break;
        default:  // an array
            seen |= kArray;
            break;
    }
}

std::vector<GuessedColumn> SchemaGuess::columns() const {
    std::vector<GuessedColumn> out;
    root_->collect(message_count_, out);
    return out;
}

void SchemaGuess::Field::collect(int64_t message_count, std::vector<GuessedColumn>& out) const {
    for (const auto& field : fields) {
        const size_t first = out.size();
        if (field->is_descended()) {
            field->collect(message_count, out);
        } else if (out.size() < kColumnsMax) {
            GuessedColumn column{{}, field->type(), field->count == message_count, false, 0};
            column.is_time = field->seen == kTime;
            if ((field->seen & ~uint32_t{kInteger | kFloat}) == 0 && field->seen != 0)
                column.units_per_second = units_per_second(field->name, field->least, field->most);
            out.push_back(std::move(column));
        }
        for (size_t i = first; i < out.size(); i++)
            out[i].path.insert(out[i].path.begin(), field->name);
    }
}

}  // namespace anomaly
