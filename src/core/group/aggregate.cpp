#include "core/group/aggregate.h"

#include <bit>
#include <cmath>
#include <limits>

#include "core/group/extreme_text.h"
#include "core/group/kept_row.h"
#include "core/group/kept_values.h"

namespace anomaly {

namespace {

__extension__ using Int128 = __int128;

enum Presence : uint8_t { kEmpty, kPresent, kFailed };

void write_int128(Int128 value, ByteWriter& out) {
    out.fixed64(static_cast<uint64_t>(value));
    out.fixed64(static_cast<uint64_t>(value >> 64));
}

Int128 read_int128(ByteReader& in) {
    uint64_t low = in.fixed64();
    uint64_t high = in.fixed64();
    return static_cast<Int128>(static_cast<unsigned __int128>(high) << 64 | low);
}

void set_cells(Column& out, int32_t row, Int128 value) {
    size_t at = static_cast<size_t>(row) * static_cast<size_t>(stride(out.type));
    out.cells[at] = static_cast<uint64_t>(value);
    out.cells[at + 1] = static_cast<uint64_t>(value >> 64);
    out.nulls[static_cast<size_t>(row)] = 0;
}

// Each policy: State, add(state, column, row), result, write, read. States are packed: a group
// should cost what it says, not what alignment makes of it.

struct Count {
    struct State {
        int64_t count = 0;
    };
    static void add(State& s, const Column&, int32_t) { s.count++; }
    static bool result(const State& s, Column& out, int32_t row) {
        out.set_int(row, s.count);
        return true;
    }
    static void write(const State& s, ByteWriter& out) {
        out.varint(static_cast<uint64_t>(s.count));
    }
    static void read(State& s, ByteReader& in) { s.count = static_cast<int64_t>(in.varint()); }
};

// sum of int2, int4: an int8 that PostgreSQL checks at every step.
struct SumNarrow {
    struct [[gnu::packed]] State {
        int64_t sum = 0;
        uint8_t presence = kEmpty;
    };
    static void add(State& s, const Column& column, int32_t row) {
        int64_t sum;
        if (s.presence == kFailed) return;
        s.presence = __builtin_add_overflow(s.sum, column.int_at(row), &sum) ? kFailed : kPresent;
        s.sum = sum;
    }
    static bool result(const State& s, Column& out, int32_t row) {
        if (s.presence == kPresent) out.set_int(row, s.sum);
        return s.presence != kFailed;
    }
    static void write(const State& s, ByteWriter& out) {
        out.byte(s.presence);
        out.zigzag(s.sum);
    }
    static void read(State& s, ByteReader& in) {
        s.presence = in.byte();
        s.sum = in.zigzag();
    }
};

// sum of int8: a numeric, which cannot overflow; nor can 2^64 int8 overflow 128 bits.
struct SumWide {
    struct [[gnu::packed]] State {
        Int128 sum = 0;
        uint8_t presence = kEmpty;
    };
    static void add(State& s, const Column& column, int32_t row) {
        s.sum = s.sum + column.int_at(row);
        s.presence = kPresent;
    }
    static bool result(const State& s, Column& out, int32_t row) {
        if (s.presence == kPresent) set_cells(out, row, s.sum);
        return true;
    }
    static void write(const State& s, ByteWriter& out) {
        out.byte(s.presence);
        write_int128(s.sum, out);
    }
    static void read(State& s, ByteReader& in) {
        s.presence = in.byte();
        s.sum = read_int128(in);
    }
};

struct AvgInt {
    struct [[gnu::packed]] State {
        Int128 sum = 0;
        int64_t count = 0;
    };
    static void add(State& s, const Column& column, int32_t row) {
        s.sum = s.sum + column.int_at(row);
        s.count = s.count + 1;
    }
    static bool result(const State& s, Column& out, int32_t row) {
        if (s.count == 0) return true;
        set_cells(out, row, s.sum);
        out.cells[static_cast<size_t>(row) * 3 + 2] = static_cast<uint64_t>(s.count);
        return true;
    }
    static void write(const State& s, ByteWriter& out) {
        out.varint(static_cast<uint64_t>(s.count));
        write_int128(s.sum, out);
    }
    static void read(State& s, ByteReader& in) {
        s.count = static_cast<int64_t>(in.varint());
        s.sum = read_int128(in);
    }
};

// float4pl, float8pl: an infinite sum of finite terms raises.
template <class Float>
struct SumFloat {
    struct [[gnu::packed]] State {
        Float sum = 0;
        uint8_t presence = kEmpty;
    };
    static void add(State& s, const Column& column, int32_t row) {
        Float value = static_cast<Float>(column.float_at(row));
        if (s.presence == kFailed) return;
        if (s.presence == kEmpty) {  // the first term is the sum, also where it is minus zero
            s.sum = value;
            s.presence = kPresent;
            return;
        }
        Float before = s.sum;
        Float sum = before + value;
        if (std::isinf(sum) && !std::isinf(before) && !std::isinf(value)) s.presence = kFailed;
        s.sum = sum;
    }
    static bool result(const State& s, Column& out, int32_t row) {
        if (s.presence == kPresent) out.set_float(row, static_cast<double>(s.sum));
        return s.presence != kFailed;
    }
    static void write(const State& s, ByteWriter& out) {
        out.byte(s.presence);
        out.fixed64(std::bit_cast<uint64_t>(static_cast<double>(s.sum)));
    }
    static void read(State& s, ByteReader& in) {
        s.presence = in.byte();
        s.sum = static_cast<Float>(std::bit_cast<double>(in.fixed64()));
    }
};

// float8_accum. avg wants the sum of squares for one thing only: its overflow makes it raise.
struct AvgFloat {
    static constexpr int64_t kFailedCount = -1;
    struct State {
        int64_t count = 0;
        double sum = 0;
        double squares = 0;
    };
    static void add(State& s, const Column& column, int32_t row) {
        double value = column.float_at(row);
        if (s.count == kFailedCount) return;
        double before = s.sum;
        double n = static_cast<double>(s.count) + 1;
        s.count++;
        s.sum += value;
        if (s.count == 1) {
            if (!std::isfinite(value)) s.squares = std::numeric_limits<double>::quiet_NaN();
            return;
        }
        double difference = value * n - s.sum;
        s.squares += difference * difference / (n * (n - 1));
        if (!std::isinf(s.sum) && !std::isinf(s.squares)) return;
        if (!std::isinf(before) && !std::isinf(value)) s.count = kFailedCount;
        s.squares = std::numeric_limits<double>::quiet_NaN();
    }
    static bool result(const State& s, Column& out, int32_t row) {
        if (s.count > 0) out.set_float(row, s.sum / static_cast<double>(s.count));
        return s.count != kFailedCount;
    }
    static void write(const State& s, ByteWriter& out) {
        out.zigzag(s.count);
        out.fixed64(std::bit_cast<uint64_t>(s.sum));
        out.fixed64(std::bit_cast<uint64_t>(s.squares));
    }
    static void read(State& s, ByteReader& in) {
        s.count = in.zigzag();
        s.sum = std::bit_cast<double>(in.fixed64());
        s.squares = std::bit_cast<double>(in.fixed64());
    }
};

// The variance and stddev families, of the same state.
template <bool kSample, bool kRoot>
struct SpreadFloat : AvgFloat {
    static bool result(const State& s, Column& out, int32_t row) {
        int64_t divisor = kSample ? s.count - 1 : s.count;
        if (s.count == kFailedCount) return false;
        if (divisor <= 0) return true;
        double variance = s.squares / static_cast<double>(divisor);
        out.set_float(row, kRoot ? std::sqrt(variance) : variance);
        return true;
    }
};

// NaN equals NaN and is greater than all else.
bool float_greater(double a, double b) {
    return std::isnan(a) ? !std::isnan(b) : a > b;
}

// The kept value stays only where it is strictly better, as in float8larger and its kin: of equal
// zeros the later one shows.
template <bool kLarger, bool kFloat>
struct Extreme {
    struct [[gnu::packed]] State {
        uint64_t value = 0;
        uint8_t presence = kEmpty;
    };
    static bool keeps(uint64_t kept, uint64_t value) {
        if constexpr (kFloat) {
            double a = std::bit_cast<double>(kept);
            double b = std::bit_cast<double>(value);
            return kLarger ? float_greater(a, b) : float_greater(b, a);
        } else {
            int64_t a = static_cast<int64_t>(kept);
            int64_t b = static_cast<int64_t>(value);
            return kLarger ? a > b : a < b;
        }
    }
    static void add(State& s, const Column& column, int32_t row) {
        uint64_t value = column.cells[static_cast<size_t>(row)];
        if (s.presence == kPresent && keeps(s.value, value)) return;
        s.value = value;
        s.presence = kPresent;
    }
    static bool result(const State& s, Column& out, int32_t row) {
        if (s.presence == kPresent) out.set_int(row, static_cast<int64_t>(s.value));
        return true;
    }
    static void write(const State& s, ByteWriter& out) {
        out.byte(s.presence);
        out.fixed64(s.value);
    }
    static void read(State& s, ByteReader& in) {
        s.presence = in.byte();
        s.value = in.fixed64();
    }
};

template <bool kAnd>
struct BoolFold {
    struct State {
        uint8_t presence = kEmpty;
        uint8_t value = 0;
    };
    static void add(State& s, const Column& column, int32_t row) {
        uint8_t value = column.int_at(row) != 0 ? 1 : 0;
        if (s.presence == kEmpty) {
            s = {kPresent, value};
        } else {
            s.value = kAnd ? (s.value & value) : (s.value | value);
        }
    }
    static bool result(const State& s, Column& out, int32_t row) {
        if (s.presence == kPresent) out.set_int(row, s.value);
        return true;
    }
    static void write(const State& s, ByteWriter& out) {
        out.byte(s.presence);
        out.byte(s.value);
    }
    static void read(State& s, ByteReader& in) {
        s.presence = in.byte();
        s.value = in.byte();
    }
};

template <class Policy>
class TypedAggregate final : public AggregateOf<typename Policy::State> {
  public:
    explicit TypedAggregate(Type result_type) : result_type_(result_type) {}

    Type result_type() const override { return result_type_; }
    void update(std::span<char* const> groups, std::span<const int32_t> rows,
                const Column* argument) override {
        const Column none(Type::kBool);
        const Column& column = argument != nullptr ? *argument : none;
        for (size_t i = 0; i < groups.size(); i++) {
            if (argument != nullptr && column.is_null(rows[i])) continue;
            Policy::add(this->state(groups[i]), column, rows[i]);
        }
    }
    bool result(const char* group, Column& out, int32_t row) const override {
        return Policy::result(this->state(group), out, row);
    }
    void write(const char* group, ByteWriter& out) const override {
        Policy::write(this->state(group), out);
    }
    void read(char* group, ByteReader& in) override { Policy::read(this->state(group), in); }

  private:
    Type result_type_;
};

template <class Policy>
std::unique_ptr<Aggregate> make(Type result_type) {
    return std::make_unique<TypedAggregate<Policy>>(result_type);
}

std::unique_ptr<Aggregate> make_sum(Type argument) {
    switch (argument) {
        case Type::kInt2:
        case Type::kInt4:
            return make<SumNarrow>(Type::kInt8);
        case Type::kInt8:
            return make<SumWide>(Type::kInt128);
        case Type::kFloat4:
            return make<SumFloat<float>>(Type::kFloat4);
        case Type::kFloat8:
            return make<SumFloat<double>>(Type::kFloat8);
        default:
            return nullptr;
    }
}

std::unique_ptr<Aggregate> make_avg(Type argument) {
    switch (argument) {
        case Type::kInt2:
        case Type::kInt4:
        case Type::kInt8:
            return make<AvgInt>(Type::kInt128Ratio);
        case Type::kFloat4:
        case Type::kFloat8:
            return make<AvgFloat>(Type::kFloat8);
        default:
            return nullptr;
    }
}

template <bool kSample, bool kRoot>
std::unique_ptr<Aggregate> make_spread(Type argument) {
    if (argument != Type::kFloat4 && argument != Type::kFloat8) return nullptr;
    return make<SpreadFloat<kSample, kRoot>>(Type::kFloat8);
}

template <bool kLarger>
std::unique_ptr<Aggregate> make_extreme(Type argument) {
    switch (argument) {
        case Type::kInt2:
        case Type::kInt4:
        case Type::kInt8:
        case Type::kTimestamptz:
        case Type::kTimestamp:
        case Type::kDate:
            return make<Extreme<kLarger, false>>(argument);
        case Type::kFloat4:
        case Type::kFloat8:
            return make<Extreme<kLarger, true>>(argument);
        case Type::kText:
            return make_extreme_text(kLarger);
        default:
            return nullptr;
    }
}

}  // namespace

std::unique_ptr<Aggregate> make_aggregate(AggregateKind kind, Type argument) {
    switch (kind) {
        case AggregateKind::kCountStar:
        case AggregateKind::kCount:
            return make<Count>(Type::kInt8);
        case AggregateKind::kSum:
            return make_sum(argument);
        case AggregateKind::kAvg:
            return make_avg(argument);
        case AggregateKind::kMin:
            return make_extreme<false>(argument);
        case AggregateKind::kMax:
            return make_extreme<true>(argument);
        case AggregateKind::kBoolAnd:
            return argument == Type::kBool ? make<BoolFold<true>>(Type::kBool) : nullptr;
        case AggregateKind::kBoolOr:
            return argument == Type::kBool ? make<BoolFold<false>>(Type::kBool) : nullptr;
        case AggregateKind::kVarPop:
            return make_spread<false, false>(argument);
        case AggregateKind::kVarSamp:
            return make_spread<true, false>(argument);
        case AggregateKind::kStddevPop:
            return make_spread<false, true>(argument);
        case AggregateKind::kStddevSamp:
            return make_spread<true, true>(argument);
        case AggregateKind::kKept:
            return make_kept_values(argument, {});
        case AggregateKind::kKeptDistinct:
            return make_kept_values(argument, {.folds = false, .distinct = true, .counts = false});
        case AggregateKind::kFolded:
            return make_kept_values(argument, {.folds = true, .distinct = false, .counts = false});
        case AggregateKind::kFirst:
        case AggregateKind::kLast:
            return argument == Type::kOpaque ? make_kept_row(kind == AggregateKind::kLast)
                                             : nullptr;
        case AggregateKind::kCountDistinct:
            if (!is_equal_by_cells(argument)) return nullptr;
            return make_kept_values(argument, {.folds = false, .distinct = true, .counts = true});
    }
    return nullptr;
}

}  // namespace anomaly
