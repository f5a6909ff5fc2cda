// The state of first and last by event time: of all rows the one that comes first, or last, in the
// order of (time, partition, offset). A slot for each group. One thread.
//
// The argument is the bytes of a row (pg/value/value_codec.h) whose first column is the time: a
// byte 0 (1: NULL, such a row does not count), the size 8, the time as 8 bytes, most significant
// first. What is kept, and handed to PostgreSQL, is an entry as in core/group/kept_values.h.
#pragma once

#include <memory>

#include "core/group/aggregate.h"

namespace anomaly {

std::unique_ptr<Aggregate> make_kept_row(bool last);

}  // namespace anomaly
