#include "core/decode/iso_time.h"

#include <charconv>
#include <cmath>

namespace anomaly {
namespace {

constexpr int64_t kSecond_us = 1'000'000;
constexpr int64_t kMinute_us = 60 * kSecond_us;
constexpr int64_t kHour_us = 60 * kMinute_us;
constexpr int64_t kDay_us = 24 * kHour_us;

// Reads a text from left to right; a member that does not find what it wants makes it not ok.
class Reader {
  public:
    explicit Reader(std::string_view text) : rest_(text) {}

    bool ok() const { return ok_; }
    bool at_end() const { return rest_.empty(); }
    std::string_view rest() const { return rest_; }
    bool next_is(char c) const { return !rest_.empty() && rest_[0] == c; }
    bool next_is_digit() const { return !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9'; }
    bool skip(char c) {
        if (!next_is(c)) return false;
        rest_.remove_prefix(1);
        return true;
    }
    void expect(char c) { ok_ = skip(c) && ok_; }
    void fail() { ok_ = false; }
    // Exactly `digits` digits that give low .. high.
    int64_t number(int digits, int64_t low, int64_t high) {
        int64_t value = 0;
        for (int i = 0; i < digits; i++) {
            if (!next_is_digit()) {
                ok_ = false;
                return low;
            }
            value = value * 10 + (rest_[0] - '0');
            rest_.remove_prefix(1);
        }
        if (value < low || value > high) ok_ = false;
        return value;
    }

  private:
    std::string_view rest_;
    bool ok_ = true;
};

bool is_leap(int64_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

// Days from 2000-01-01 to the date.
int64_t read_date(Reader& reader) {
    static constexpr int kDaysBefore[] = {0,   31,  59,  90,  120, 151, 181,
                                          212, 243, 273, 304, 334, 365};
    int64_t year = reader.number(4, 1970, 2200);
    reader.expect('-');
    int64_t month = reader.number(2, 1, 12);
    reader.expect('-');
    if (!reader.ok()) return 0;
    bool leap = is_leap(year);
    int64_t month_days = kDaysBefore[month] - kDaysBefore[month - 1] + (leap && month == 2 ? 1 : 0);
    int64_t day = reader.number(2, 1, month_days);
    int64_t past = year - 1;  // whole years since year 1; 2000-01-01 is day 730119 of them
    int64_t days = past * 365 + past / 4 - past / 100 + past / 400 - 730'119;
    return days + kDaysBefore[month - 1] + (leap && month > 2 ? 1 : 0) + day - 1;
}

// More digits than microseconds have: PostgreSQL rounds in double arithmetic, and so do we.
int64_t read_long_fraction_us(Reader& reader) {
    std::string_view digits = reader.rest();
    double fraction = 0;
    char text[40] = "0.";
    size_t size = 0;
    for (; reader.next_is_digit(); size++) reader.number(1, 0, 9);
    if (size > sizeof text - 2) {
        reader.fail();
        return 0;
    }
    digits.copy(text + 2, size);
    std::from_chars(text, text + 2 + size, fraction);
    return static_cast<int64_t>(std::rint(fraction * 1'000'000));
}

int64_t read_fraction_us(Reader& reader) {
    constexpr size_t kMicrosecondDigits = 6;
    if (reader.rest().find_first_not_of("0123456789") > kMicrosecondDigits &&
        reader.rest().size() > kMicrosecondDigits) {
        return read_long_fraction_us(reader);
    }
    int64_t value = 0;
    int64_t unit = kSecond_us;
    while (reader.next_is_digit() && unit > 1) {
        unit /= 10;
        value += reader.number(1, 0, 9) * unit;
    }
    if (unit == kSecond_us) reader.expect('0');  // a point and no digit
    return value;
}

int64_t read_date_and_time(Reader& reader) {
    int64_t time = read_date(reader) * kDay_us;
    if (!reader.skip('T')) reader.expect(' ');
    time += reader.number(2, 0, 23) * kHour_us;
    reader.expect(':');
    time += reader.number(2, 0, 59) * kMinute_us;
    reader.expect(':');
    time += reader.number(2, 0, 59) * kSecond_us;
    if (reader.skip('.')) time += read_fraction_us(reader);
    return time;
}

// What is to be subtracted for UTC.
int64_t read_zone_us(Reader& reader) {
    if (reader.skip('Z')) return 0;
    int64_t sign = 1;
    if (!reader.skip('+')) {
        reader.expect('-');
        sign = -1;
    }
    int64_t offset = reader.number(2, 0, 14) * kHour_us;
    if (reader.skip(':') || reader.next_is_digit()) offset += reader.number(2, 0, 59) * kMinute_us;
    return sign * offset;
}

bool done(const Reader& reader, int64_t value, uint64_t* cell) {
    *cell = static_cast<uint64_t>(value);
    return reader.ok() && reader.at_end();
}

}  // namespace

bool parse_iso_timestamptz(std::string_view text, const Zone& zone, uint64_t* cell) {
    Reader reader(text);
    int64_t time = read_date_and_time(reader);
    if (!reader.ok()) return false;
    if (reader.at_end()) {
        return done(reader, zone.to_utc(time), cell);
    }
    time -= read_zone_us(reader);
    return done(reader, time, cell);
}

bool parse_iso_timestamp(std::string_view text, uint64_t* cell) {
    Reader reader(text);
    int64_t time = read_date_and_time(reader);
    if (reader.ok() && !reader.at_end()) read_zone_us(reader);
    return done(reader, time, cell);
}

bool parse_iso_date(std::string_view text, uint64_t* cell) {
    Reader reader(text);
    int64_t days = read_date(reader);
    return done(reader, days, cell);
}

}  // namespace anomaly
