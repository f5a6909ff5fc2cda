// The value types that core computes with, and how a value lies in memory.
//
// Plain data, no includes beyond <cstdint>: the PostgreSQL side reads this header too.
#pragma once

#include <cstdint>

namespace anomaly {

// Each row of a column takes stride(type) cells of 64 bits.
enum class Type : uint8_t {
    kBool,  // 0 or 1
    kInt2,  // sign-extended to 64 bits, as are kInt4 and kInt8
    kInt4,
    kInt8,
    kFloat4,   // stored as the double of the same value
    kFloat8,   // the bits of the double
    kText,     // two cells: address of the bytes, length in bytes (database encoding, no NUL end)
    kBytea,    // the same, any bytes
    kUuid,     // the same, its 16 bytes
    kNumeric,  // the same, the text that numeric_out gives: exact, 1.0 and 1.00 are different bytes
    kJsonb,    // the same, a JSON text that jsonb's input takes
    kTimestamptz,  // microseconds since 2000-01-01 00:00 UTC; INT64_MIN/MAX are -/+infinity
    kTimestamp,    // the same, without a zone
    kDate,         // days since 2000-01-01; INT32_MIN/MAX are -/+infinity
    kOpaque,       // two cells as kText: a datum image that only PostgreSQL understands
    kInt128,       // two cells, low then high: result of sum over int8, int4, int2 before narrowing
    kInt128Ratio,  // three cells: kInt128 and a count: result of avg over integers
};

constexpr int stride(Type type) {
    switch (type) {
        case Type::kText:
        case Type::kBytea:
        case Type::kUuid:
        case Type::kNumeric:
        case Type::kJsonb:
        case Type::kOpaque:
        case Type::kInt128:
            return 2;
        case Type::kInt128Ratio:
            return 3;
        default:
            return 1;
    }
}

// True for types whose cells are an address and a length.
constexpr bool has_bytes(Type type) {
    return stride(type) == 2 && type != Type::kInt128;
}

// True where two values are equal if, and only if, their cells are (bytes: byte by byte), but for
// floats (minus zero, NaN) and texts of nondeterministic collations.
constexpr bool is_equal_by_cells(Type type) {
    return type != Type::kOpaque && type != Type::kNumeric && type != Type::kJsonb;
}

// A column of values as others see it; valid until its owner changes. No ownership.
struct ColumnView {
    Type type;
    int32_t row_count;
    const uint64_t* cells;  // stride(type) per row
    const uint8_t* nulls;   // one byte per row, 1 = NULL (its cells are zero); nullptr = no NULLs
};

}  // namespace anomaly
