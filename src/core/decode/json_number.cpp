#include "core/decode/json_number.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <iterator>

namespace anomaly {
namespace {

// Past these, limits of numeric begin to matter.
constexpr size_t kLongestFloat = 400;
constexpr size_t kExponentDigits = 3;
// So many decimal digits always fit 64 bits, and 63.
constexpr uint32_t kDigitsOfUint64 = 19;
constexpr uint32_t kDigitsOfInt64 = 18;

constexpr double kPowersOfTen[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// Takes digits in from `at`; the first byte that is none.
size_t take_digits(std::string_view text, size_t at, uint64_t* digits) {
    uint64_t value = *digits;
    for (; at < text.size(); at++) {
        uint32_t digit = static_cast<unsigned char>(text[at]) - uint32_t{'0'};
        if (digit > 9) break;
        value = value * 10 + digit;
    }
    *digits = value;
    return at;
}

// The end of an exponent whose letter is at `at`; `at` itself if it is none.
size_t exponent_end(std::string_view text, size_t at) {
    size_t first = at + 1;
    if (first < text.size() && (text[first] == '+' || text[first] == '-')) first++;
    uint64_t ignored = 0;
    size_t end = take_digits(text, first, &ignored);
    return end == first ? at : end;
}

// jsonb keeps a number as numeric, whose text goes through the type's input: an integer has no sign
// at zero, and everything that is no plain integer is better asked for.
bool to_integer(std::string_view token, const JsonNumber& number, int64_t low, int64_t high,
                uint64_t* cell) {
    if (number.has_point || number.has_exponent) return false;
    int64_t value = 0;
    if (number.digit_count <= kDigitsOfInt64) {
        value = static_cast<int64_t>(number.digits);
        if (number.negative) value = -value;
    } else {
        auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
        if (error != std::errc() || end != token.data() + token.size()) return false;
    }
    *cell = static_cast<uint64_t>(value);
    return value >= low && value <= high;
}

// The quotient of two exact doubles is the double nearest to the number.
bool quotient_is_exact(const JsonNumber& number) {
    constexpr uint64_t kExactIntegers = uint64_t{1} << 53;
    return !number.has_exponent && number.digit_count <= kDigitsOfUint64 &&
           number.digits <= kExactIntegers && number.fraction < std::size(kPowersOfTen);
}

template <class Float>
bool to_float(std::string_view token, const JsonNumber& number, uint64_t* cell) {
    if (token.size() > kLongestFloat) return false;
    if (number.has_exponent && token.size() - token.find_first_of("eE") > 2 + kExponentDigits) {
        return false;
    }
    Float value = 0;
    auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
    if (error != std::errc() || end != token.data() + token.size()) return false;
    if (value == 0) {
        value = 0;  // numeric has no negative zero
    } else if (!std::isnormal(value)) {
        return false;
    }
    *cell = std::bit_cast<uint64_t>(static_cast<double>(value));
    return true;
}

bool to_double(std::string_view token, const JsonNumber& number, uint64_t* cell) {
    if (!quotient_is_exact(number)) return to_float<double>(token, number, cell);
    double value = static_cast<double>(number.digits) / kPowersOfTen[number.fraction];
    // numeric has no negative zero.
    if (number.negative && number.digits != 0) value = -value;
    *cell = std::bit_cast<uint64_t>(value);
    return true;
}

}  // namespace

bool read_json_number(std::string_view text, JsonNumber* out) {
    JsonNumber number;
    size_t at = !text.empty() && text[0] == '-' ? 1 : 0;
    number.negative = at == 1;
    size_t whole_end = take_digits(text, at, &number.digits);
    if (whole_end == at || (text[at] == '0' && whole_end > at + 1)) return false;
    number.digit_count = static_cast<uint32_t>(whole_end - at);
    at = whole_end;
    if (at < text.size() && text[at] == '.') {
        size_t fraction_end = take_digits(text, at + 1, &number.digits);
        if (fraction_end == at + 1) return false;
        number.has_point = true;
        number.fraction = static_cast<uint32_t>(fraction_end - at - 1);
        number.digit_count += number.fraction;
        at = fraction_end;
    }
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
        size_t end = exponent_end(text, at);
        if (end == at) return false;
        number.has_exponent = true;
        at = end;
    }
    number.size = static_cast<uint32_t>(at);
    *out = number;
    return true;
}

bool number_to_cell(Type type, std::string_view token, const JsonNumber& number, uint64_t* cell) {
    switch (type) {
        case Type::kInt2:
            return to_integer(token, number, INT16_MIN, INT16_MAX, cell);
        case Type::kInt4:
            return to_integer(token, number, INT32_MIN, INT32_MAX, cell);
        case Type::kInt8:
            return to_integer(token, number, INT64_MIN, INT64_MAX, cell);
        case Type::kFloat4:
            return to_float<float>(token, number, cell);
        case Type::kFloat8:
            return to_double(token, number, cell);
        default:
            return false;
    }
}

}  // namespace anomaly
