// Finds conditions on metadata columns, and what they say about where to read.
#include "bridge/topic.h"

#include "pg/scan/scan_condition.h"

#include "pg/stream/options.h"

namespace anomaly::pg {

namespace {

// True: a plain column of the metadata that a scan can be bounded by.
bool find_target(Oid stream, Index varno, const Node* node, Source* target) {
    if (node == NULL || !IsA(node, Var)) return false;
    const Var* var = reinterpret_cast<const Var*>(node);
    if (var->varno != static_cast<int>(varno) || var->varattno <= 0 || var->varlevelsup != 0) {
        return false;
    }
    const char* metadata = find_option(GetForeignColumnOptions(stream, var->varattno), "metadata");
    if (metadata == NULL) return false;
    *target = parse_metadata(metadata);
    return *target == Source::kPartition || *target == Source::kOffset ||
           *target == Source::kTimestamp;
}

// Its value is the same for all rows of the scan, and costs nothing but itself to compute.
bool is_fixed(PlannerInfo* root, Index varno, Node* value) {
    return !contain_volatile_functions(value) && !contain_subplans(value) &&
           !bms_is_member(static_cast<int>(varno), pull_varnos(root, value));
}

bool is_usable_type(Source target, Oid type) {
    if (target == Source::kTimestamp) {
        return type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == DATEOID;
    }
    return type == INT2OID || type == INT4OID || type == INT8OID;
}

StrategyNumber strategy_of(Source target, Oid op) {
    const Oid type = target == Source::kTimestamp ? TIMESTAMPTZOID : INT8OID;
    const Oid family = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
    return static_cast<StrategyNumber>(get_op_opfamily_strategy(op, family));
}

bool match_operator(PlannerInfo* root, Oid stream, Index varno, const OpExpr* clause,
                    ScanCondition* out) {
    if (list_length(clause->args) != 2) return false;
    Node* left = static_cast<Node*>(linitial(clause->args));
    Node* right = static_cast<Node*>(lsecond(clause->args));
    Oid op = clause->opno;
    if (!find_target(stream, varno, left, &out->target)) {
        if (!find_target(stream, varno, right, &out->target)) return false;
        Node* swapped = left;
        left = right;
        right = swapped;
        op = get_commutator(op);
    }
    out->strategy = OidIsValid(op) ? strategy_of(out->target, op) : InvalidStrategy;
    out->value = reinterpret_cast<Expr*>(right);
    return out->strategy != InvalidStrategy && is_usable_type(out->target, exprType(right)) &&
           is_fixed(root, varno, right);
}

bool match_any(PlannerInfo* root, Oid stream, Index varno, const ScalarArrayOpExpr* clause,
               ScanCondition* out) {
    Node* array = static_cast<Node*>(lsecond(clause->args));
    if (!clause->useOr ||
        !find_target(stream, varno, static_cast<Node*>(linitial(clause->args)), &out->target) ||
        out->target == Source::kTimestamp) {
        return false;
    }
    out->is_any = true;
    out->strategy = strategy_of(out->target, clause->opno);
    out->value = reinterpret_cast<Expr*>(array);
    return out->strategy == BTEqualStrategyNumber &&
           is_usable_type(out->target, get_element_type(exprType(array))) &&
           is_fixed(root, varno, array);
}

int64 integer_of(Datum value, Oid type) {
    switch (type) {
        case INT2OID:
            return DatumGetInt16(value);
        case INT4OID:
            return DatumGetInt32(value);
        default:
            return DatumGetInt64(value);
    }
}

TimestampTz time_of(Datum value, Oid type) {
    switch (type) {
        case DATEOID:
            return DatumGetTimestampTz(DirectFunctionCall1(date_timestamptz, value));
        case TIMESTAMPOID:
            return DatumGetTimestampTz(DirectFunctionCall1(timestamp_timestamptz, value));
        default:
            return DatumGetTimestampTz(value);
    }
}

struct Range {
    int64* from;
    int64* to;
};

Range range_of(ScanBounds* bounds, Source target) {
    if (target == Source::kPartition) return {&bounds->partition_from, &bounds->partition_to};
    return {&bounds->offset_from, &bounds->offset_to};
}

int64 after(int64 value) {
    return value == PG_INT64_MAX ? value : value + 1;
}

void narrow_range(Range range, StrategyNumber strategy, int64 value) {
    switch (strategy) {
        case BTLessStrategyNumber:
            *range.to = Min(*range.to, value);
            break;
        case BTLessEqualStrategyNumber:
            *range.to = Min(*range.to, after(value));
            break;
        case BTEqualStrategyNumber:
            *range.from = Max(*range.from, value);
            *range.to = Min(*range.to, after(value));
            break;
        case BTGreaterEqualStrategyNumber:
            *range.from = Max(*range.from, value);
            break;
        default:  // greater
            *range.from = Max(*range.from, after(value));
            break;
    }
}

// Kafka's timestamps do not ascend, so that only the first message from a time on can be found.
void narrow_time(ScanBounds* bounds, StrategyNumber strategy, TimestampTz time) {
    constexpr int64 kEpochMs =
        static_cast<int64>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;
    if (strategy < BTEqualStrategyNumber || TIMESTAMP_IS_NOBEGIN(time)) return;
    if (TIMESTAMP_IS_NOEND(time)) {
        bounds->nothing = true;
        return;
    }
    // Down to a whole millisecond: what is too early is checked again.
    const int64 from_ms = (time - (time < 0 ? 999 : 0)) / 1000 + kEpochMs;
    bounds->from_ms = Max(bounds->from_ms, from_ms);
}

// Only the smallest and the largest of a list of offsets count; partitions are taken one by one,
// unless a number that no partition has would make the set of them large.
void narrow_any(ScanBounds* bounds, Source target, ArrayType* array) {
    const Oid type = ARR_ELEMTYPE(array);
    int16 length;
    bool by_value;
    char align;
    get_typlenbyvalalign(type, &length, &by_value, &align);
    Datum* values;
    bool* nulls;
    int count;
    deconstruct_array(array, type, length, by_value, align, &values, &nulls, &count);
    int64 least = PG_INT64_MAX;
    int64 most = PG_INT64_MIN;
    constexpr int64 kPartitionMax = 1 << 20;
    Bitmapset* partitions = NULL;
    for (int i = 0; i < count; i++) {
        if (nulls[i]) continue;
        const int64 value = integer_of(values[i], type);
        least = Min(least, value);
        most = Max(most, value);
        if (target == Source::kPartition && value >= 0 && value < kPartitionMax) {
            partitions = bms_add_member(partitions, static_cast<int>(value));
        }
    }
    if (least > most) {
        bounds->nothing = true;
        return;
    }
    narrow_range(range_of(bounds, target), BTGreaterEqualStrategyNumber, least);
    narrow_range(range_of(bounds, target), BTLessEqualStrategyNumber, most);
    if (target != Source::kPartition || most >= kPartitionMax) return;
    bounds->partitions =
        bounds->partitions == NULL ? partitions : bms_intersect(bounds->partitions, partitions);
    if (bms_is_empty(bounds->partitions)) bounds->nothing = true;
}

}  // namespace

bool match_scan_condition(PlannerInfo* root, Oid stream, Index varno, Expr* clause,
                          ScanCondition* out) {
    *out = {};
    if (IsA(clause, OpExpr)) {
        return match_operator(root, stream, varno, reinterpret_cast<OpExpr*>(clause), out);
    }
    if (IsA(clause, ScalarArrayOpExpr)) {
        return match_any(root, stream, varno, reinterpret_cast<ScalarArrayOpExpr*>(clause), out);
    }
    return false;
}

ScanBounds unbounded_scan() {
    return {0, PG_INT64_MAX, NULL, 0, PG_INT64_MAX, bridge::kNoTimeAsked, false, PG_INT64_MAX};
}

void narrow_scan(ScanBounds* bounds, const ScanCondition* condition, Datum value, bool is_null) {
    if (is_null) {
        bounds->nothing = true;
        return;
    }
    const Oid type = exprType(reinterpret_cast<const Node*>(condition->value));
    if (condition->is_any) {
        narrow_any(bounds, condition->target, DatumGetArrayTypeP(value));
    } else if (condition->target == Source::kTimestamp) {
        narrow_time(bounds, condition->strategy, time_of(value, type));
    } else {
        narrow_range(range_of(bounds, condition->target), condition->strategy,
                     integer_of(value, type));
    }
}

bool scan_has_partition(const ScanBounds* bounds, int32 partition) {
    return !bounds->nothing && partition >= bounds->partition_from &&
           partition < bounds->partition_to &&
           (bounds->partitions == NULL || bms_is_member(partition, bounds->partitions));
}

bool equal_scans(const ScanBounds* a, const ScanBounds* b) {
    return a->partition_from == b->partition_from && a->partition_to == b->partition_to &&
           bms_equal(a->partitions, b->partitions) && a->offset_from == b->offset_from &&
           a->offset_to == b->offset_to && a->from_ms == b->from_ms && a->nothing == b->nothing;
}

}  // namespace anomaly::pg
