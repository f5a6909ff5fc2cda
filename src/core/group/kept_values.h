// The state of an aggregate that PostgreSQL's own functions compute: its input values, or what they
// have become. A slot for each group. One thread.
//
// An entry is: varint partition, varint offset of the message, varint size of the value plus one
// (0: NULL), the value: the 8 bytes of a cell, little-endian, or the bytes of a text or opaque
// value. Entries lie in the order in which they came.
//
// An aggregate that folds has the bytes of a transition state too, which PostgreSQL makes of the
// state before and the entries since (Aggregate::put_state); one that does not keeps its entries.
#pragma once

#include <memory>

#include "core/group/aggregate.h"

namespace anomaly {

struct KeptOptions {
    bool folds;     // entries become a state before each commit
    bool distinct;  // an entry whose value is there already is not kept again
    bool counts;    // distinct, and the result is the number of values that are not NULL
};

std::unique_ptr<Aggregate> make_kept_values(Type argument, const KeptOptions& options);

}  // namespace anomaly
