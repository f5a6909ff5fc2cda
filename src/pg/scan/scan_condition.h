// Conditions on a message's place that a scan of a stream can make use of: on the partition, on the
// offset, and lower bounds on Kafka's timestamp. What they say is only where to read: each row is
// checked again by the executor.
#pragma once

#include "core/spec.h"
#include "pg/pg.h"

namespace anomaly::pg {

// The form `column operator value`, or `column = ANY (value)`.
struct ScanCondition {
    Source target;            // kPartition, kOffset or kTimestamp
    StrategyNumber strategy;  // of a btree
    bool is_any;              // the value is an array
    Expr* value;              // without columns of the stream
};

// False: the scan cannot use the clause. `root` is NULL in a finished plan.
bool match_scan_condition(PlannerInfo* root, Oid stream, Index varno, Expr* clause,
                          ScanCondition* out);

// What has to be read, as far as conditions say; the ends of ranges are not in them.
struct ScanBounds {
    int64 partition_from;
    int64 partition_to;
    const Bitmapset* partitions;  // NULL: no list of them was given
    int64 offset_from;
    int64 offset_to;
    int64 from_ms;  // first timestamp wanted, since 1970; bridge::kNoTimeAsked
    bool nothing;   // no message can fulfil them
    int64 newest;   // at most so many messages, of the end of each partition
};

ScanBounds unbounded_scan();
// `is_null`: then nothing fulfils it.
void narrow_scan(ScanBounds* bounds, const ScanCondition* condition, Datum value, bool is_null);
bool scan_has_partition(const ScanBounds* bounds, int32 partition);
bool equal_scans(const ScanBounds* a, const ScanBounds* b);

}  // namespace anomaly::pg
