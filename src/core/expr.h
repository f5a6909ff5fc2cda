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
