// Expressions as the PostgreSQL side hands them down: a tree in post-order, plain data.
//
// The rule for every operation is PostgreSQL's own result or none at all: where an operation would
// raise an error, or where we are not certain of the exact result, the row is marked *unsure* and
// PostgreSQL's executor evaluates the whole expression for that row (value or error text).
#pragma once

#include <cstdint>

#include "core/type.h"

namespace anomaly {

enum class Op : uint8_t {
    kColumn,    // int_value = index of the stream's column
    kConstant,  // int_value / float_value / text by type; is_null
    // int2, int4, int8: both operands and result of node's type; overflow, division by zero: unsure
    kIntAdd,
    kIntSub,
    kIntMul,
    kIntDiv,
    kIntMod,
    kIntNeg,
    // float8 (float4 operands are cast before); overflow, underflow, division by zero: unsure
    kFloatAdd,
    kFloatSub,
    kFloatMul,
    kFloatDiv,
    kFloatNeg,
    // float4, computed in single precision
    kFloat4Add,
    kFloat4Sub,
    kFloat4Mul,
    kFloat4Div,
    // comparisons give kBool; operands of one class: integers (any width), timestamps, dates, bools
    kIntEq,
    kIntNe,
    kIntLt,
    kIntLe,
    kIntGt,
    kIntGe,
    // float4/float8: NaN equals NaN and is greater than all else
    kFloatEq,
    kFloatNe,
    kFloatLt,
    kFloatLe,
    kFloatGt,
    kFloatGe,
    // text, byte by byte (deterministic collations); the order only under the C collation
    kTextEq,
    kTextNe,
    kTextLt,
    kTextLe,
    kTextGt,
    kTextGe,
    // three-valued logic, left to right
    kAnd,
    kOr,
    kNot,
    kIsNull,
    kIsNotNull,
    kIsTrue,  // x IS TRUE, IS FALSE, IS NOT TRUE, IS NOT FALSE
    kIsFalse,
    kIsNotTrue,
    kIsNotFalse,
    kIf,        // args: condition, then, else: then where the condition is true (CASE is a chain)
    kCoalesce,  // two args (longer lists are a chain)
    // casts
    kIntToInt,    // to the node's type; out of range: unsure
    kIntToFloat,  // int2/4/8 to float8
    kFloat4ToFloat8,
    // to_timestamp(double precision), as float8_timestamptz of PostgreSQL; out of range: unsure
    kToTimestamp,
    // (int8 / 10^k numeric)::float8, int_value = k (1..9): exact where the quotient needs no more
    // digits than PostgreSQL's numeric division keeps, otherwise unsure
    kIntDivPow10,
    kFloatToInt,      // float4/8 to the node's type, half to even; NaN, out of range: unsure
    kFloat8ToFloat4,  // overflow, underflow: unsure
    kIntToFloat4,
    kIntToBool,  // int4
    kBoolToInt,  // to int4
    // functions of numbers
    kIntAbs,  // of the node's type
    kFloatAbs,
    kFloatFloor,
    kFloatCeil,
    kFloatRound,  // half to even
    kFloatTrunc,
    kFloatSign,
    kFloatSqrt,
    kFloatExp,
    kFloatLn,
    kFloatLog10,
    kFloatPower,
    // times; near the ends of their ranges: unsure
    kTimeTrunc,      // down to a multiple of int_value microseconds, counted from a Monday
    kTimeAdd,        // int_value microseconds more
    kDateAdd,        // days: a date and an int4
    kDateSub,        // the same, less
    kTimeToDate,     // the day of a timestamp
    kDateToTime,     // its midnight
    kTimeToTime,     // timestamp and timestamptz where the zone is UTC: the same bits
    kTimeTruncZone,  // as kTimeTrunc in a zone whose offset is whole minutes: not before 1973
    // text; int_value: 1 where characters are those of UTF-8, 0 where each is one byte
    kBoolToText,
    kTextToInt,    // to the node's type; anything but a short run of digits with a sign: unsure
    kTextToFloat,  // to float8; anything but a plain decimal number: unsure
    kTextLength,   // in characters
    kTextBytes,
    kTextLeft,
    kTextRight,
    kTextSubstr,      // from a position, counted from 1
    kTextSubstrUpTo,  // at most so many characters; a negative number: unsure
    kTextTrim,        // blanks at both ends
    kTextTrimLeft,
    kTextTrimRight,
    kTextPosition,  // first occurrence of the second in the first, in characters from 1; 0: none
    kTextStartsWith,
    kTextLike,  // the second argument is a constant pattern that does not end in an escape
    // text of new bytes
    kIntToText,
    kTextConcat,
    kTextLower,  // of ASCII letters: the C locale
    kTextUpper,
    kTextReplace,
};

// One node; its arguments are indexes of earlier nodes of the same array, or -1.
struct ExprNode {
    Op op;
    Type type;     // of the result
    bool is_null;  // kConstant
    int32_t args[3];
    int64_t int_value;
    double float_value;
    const char* text;  // not owned; copied when a program is made of the nodes
    int32_t text_size;
};

// The root is the last node. node_count == 0: not native, PostgreSQL evaluates it for every row.
struct ExprSpec {
    const ExprNode* nodes;
    int32_t node_count;
    Type type;
};

}  // namespace anomaly
