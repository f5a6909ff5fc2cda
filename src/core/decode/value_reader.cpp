#include "core/decode/value_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/decode/iso_time.h"
#include "core/decode/uuid_text.h"

namespace anomaly {
namespace {

constexpr int64_t kEpoch2000_us = int64_t{10957} * 86'400 * 1'000'000;  // 2000-01-01 since 1970
// Years 0001 to 9999, well within PostgreSQL's limits.
constexpr int64_t kFirstTime_us = int64_t{-62'135'596'800} * 1'000'000;
constexpr int64_t kLastTime_us = int64_t{253'402'300'799} * 1'000'000;

constexpr uint32_t kDigitsOfInt64 = 18;  // so many decimal digits always fit
// Past these, limits of numeric begin to matter.
constexpr size_t kLongestNumeric = 1000;

int32_t decimal_exponent(TimeUnit unit) {  // of a microsecond
    switch (unit) {
        case TimeUnit::kSecond:
            return 6;
        case TimeUnit::kMillisecond:
            return 3;
        case TimeUnit::kNanosecond:
            return -3;
        default:
            return 0;
    }
}

int64_t power_of_ten(int32_t exponent) {
    int64_t power = 1;
    for (; exponent > 0; exponent--) power *= 10;
    return power;
}

// value / 10^digits as numeric rounds it: half away from zero.
int64_t divide_rounded(int64_t value, int32_t digits) {
    if (digits > static_cast<int32_t>(kDigitsOfInt64)) return 0;
    int64_t power = power_of_ten(digits);
    int64_t rest = value % power;
    int64_t quotient = value / power;
    if (rest >= power - rest) return quotient + 1;
    if (-rest >= power + rest) return quotient - 1;
    return quotient;
}

size_t character_count(std::string_view utf8) {
    return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    }));
}

// As the input functions of the integers read it; they know more forms than this.
bool text_to_integer(std::string_view text, int64_t low, int64_t high, Value* out) {
    int64_t value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return false;
    out->set(value);
    return value >= low && value <= high;
}

// Unlike a number of JSON, a text may be minus zero.
template <class Float>
bool text_to_float(std::string_view text, const JsonNumber& number, Value* out) {
    constexpr size_t kLongestFloat = 400;
    if (number.size != text.size() || text.size() > kLongestFloat) return false;
    Float value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return false;
    bool zero = number.digits == 0 && number.digit_count <= kDigitsOfInt64;
    if (!zero && !std::isnormal(value)) return false;
    out->cells[0] = std::bit_cast<uint64_t>(static_cast<double>(value));
    return true;
}

bool text_to_bool(std::string_view text, Value* out) {
    bool yes = text == "true" || text == "t" || text == "1";
    out->set(int64_t{yes ? 1 : 0});
    return yes || text == "false" || text == "f" || text == "0";
}

}  // namespace

ValueReader::ValueReader(const StreamColumnSpec& column, const Zone& zone)
    : type_(column.type),
      unit_(column.unit),
      precision_(column.precision),
      scale_(column.scale),
      zone_(zone) {}

bool ValueReader::from_text(std::string_view text, Arena& arena, Value* out) const {
    switch (type_) {
        case Type::kText:
            return to_text(text, out);
        case Type::kTimestamptz:
        case Type::kTimestamp:
            if (unit_ == TimeUnit::kNone) return to_time(text, out);
            break;
        case Type::kDate:
            return parse_iso_date(text, &out->cells[0]);
        case Type::kInt2:
            return text_to_integer(text, INT16_MIN, INT16_MAX, out);
        case Type::kInt4:
            return text_to_integer(text, INT32_MIN, INT32_MAX, out);
        case Type::kInt8:
            return text_to_integer(text, INT64_MIN, INT64_MAX, out);
        case Type::kBool:
            return text_to_bool(text, out);
        case Type::kUuid: {
            char* bytes = arena.allocate(kUuidBytes);
            out->set(std::string_view(bytes, kUuidBytes));
            return parse_uuid(text, bytes);
        }
        case Type::kFloat4:
        case Type::kFloat8:
        case Type::kNumeric:
            break;
        default:
            return false;
    }
    JsonNumber number;
    if (!read_json_number(text, &number) || number.size != text.size()) return false;
    if (type_ == Type::kFloat4) return text_to_float<float>(text, number, out);
    if (type_ == Type::kFloat8) return text_to_float<double>(text, number, out);
    return from_number(text, number, arena, out);
}

bool ValueReader::from_json(const JsonScalar& scalar, Arena& arena, Value* out) const {
    std::string_view token = scalar.token;
    if (type_ == Type::kJsonb) {
        out->set(token);
        // Of a larger number the limits of numeric begin to matter.
        return token[0] == 't' || token[0] == 'f' ||
               (token.size() <= kLongestNumeric && !scalar.number.has_exponent);
    }
    if (token[0] == 't' || token[0] == 'f') {
        out->set(int64_t{token[0] == 't' ? 1 : 0});
        return type_ == Type::kText ? to_text(token, out) : type_ == Type::kBool;
    }
    return from_number(token, scalar.number, arena, out);
}

bool ValueReader::from_number(std::string_view token, const JsonNumber& number, Arena& arena,
                              Value* out) const {
    switch (type_) {
        case Type::kNumeric:
            return to_numeric(token, number, arena, out);
        case Type::kText:
            return to_numeric(token, number, arena, out) && to_text(out->bytes(), out);
        case Type::kTimestamptz:
        case Type::kTimestamp:
            return unit_ != TimeUnit::kNone && to_epoch_time(number, out);
        default:
            return number_to_cell(type_, token, number, &out->cells[0]);
    }
}

bool ValueReader::to_text(std::string_view text, Value* out) const {
    out->set(text);
    if (precision_ < 0) return true;
    auto limit = static_cast<size_t>(precision_);
    return text.size() <= limit || character_count(text) <= limit;
}

// The text that numeric_out gives: the number's own but for the sign of zero, filled up with zeros
// to the type's scale. What would be rounded is left to PostgreSQL.
bool ValueReader::to_numeric(std::string_view token, const JsonNumber& number, Arena& arena,
                             Value* out) const {
    if (number.has_exponent || token.size() > kLongestNumeric) return false;
    if (number.negative && token.find_first_of("123456789") == std::string_view::npos) {
        token.remove_prefix(1);
    }
    out->set(token);
    if (type_ != Type::kNumeric || precision_ < 0) return true;
    auto fraction = static_cast<int32_t>(number.fraction);
    auto whole = static_cast<int32_t>(number.digit_count) - fraction;
    if (scale_ < 0 || fraction > scale_ || whole > precision_ - scale_) return false;
    if (fraction == scale_) return true;
    auto zeros = static_cast<size_t>(scale_ - fraction);
    size_t point = fraction == 0 ? 1 : 0;
    char* text = arena.allocate(token.size() + point + zeros);
    token.copy(text, token.size());
    if (point == 1) text[token.size()] = '.';
    std::fill_n(text + token.size() + point, zeros, '0');
    out->set(std::string_view(text, token.size() + point + zeros));
    return true;
}

bool ValueReader::to_epoch_time(const JsonNumber& number, Value* out) const {
    if (number.has_exponent || number.digit_count > kDigitsOfInt64) return false;
    auto value = static_cast<int64_t>(number.digits);
    if (number.negative) value = -value;
    int32_t exponent = decimal_exponent(unit_) - static_cast<int32_t>(number.fraction);
    if (exponent < 0) {
        value = divide_rounded(value, -exponent);
    } else if (__builtin_mul_overflow(value, power_of_ten(exponent), &value)) {
        return false;
    }
    if (value < kFirstTime_us || value > kLastTime_us) return false;
    value -= kEpoch2000_us;
    if (type_ == Type::kTimestamp) value = zone_.to_local(value);
    out->set(value);
    return fits_precision(value);
}

bool ValueReader::to_time(std::string_view text, Value* out) const {
    bool read = type_ == Type::kTimestamptz ? parse_iso_timestamptz(text, zone_, &out->cells[0])
                                            : parse_iso_timestamp(text, &out->cells[0]);
    return read && fits_precision(static_cast<int64_t>(out->cells[0]));
}

// Otherwise it would be rounded.
bool ValueReader::fits_precision(int64_t time_us) const {
    constexpr int32_t kMicrosecondDigits = 6;
    return precision_ < 0 || precision_ >= kMicrosecondDigits ||
           time_us % power_of_ten(kMicrosecondDigits - precision_) == 0;
}

}  // namespace anomaly
