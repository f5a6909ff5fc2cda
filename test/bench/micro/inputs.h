// What the microbenchmarks work on: batches of the seed's messages, and its query over them.
#pragma once

#include <string>
#include <vector>

#include "core/data/message.h"
#include "core/spec.h"
#include "demo/generator/reading.h"
#include "test/unit/cpu_stream.h"

namespace anomaly::bench {

constexpr int32_t kBatchRows = 8192;
constexpr int64_t kFirstMs = 1700000000000;
constexpr int64_t kNowUs = int64_t{800000000} * 1000000;

// A batch of one partition, a millisecond of event time from message to message.
inline void fill_batch(demo::Readings& readings, int64_t first_message, MessageBatch& batch) {
    batch.clear();
    for (int64_t i = first_message; i < first_message + kBatchRows; i++) {
        readings.next(kFirstMs + i);
        batch.add(0, i, kFirstMs + i, readings.value().data(),
                  static_cast<int32_t>(readings.value().size()), readings.key().data(),
                  static_cast<int32_t>(readings.key().size()));
    }
    batch.finish();
}

// avg(usage), max(usage) of each processor of each host in windows of 30 seconds.
struct SeedQuery : testing::CpuStream {
    SeedQuery() { aggregates[1] = {AggregateKind::kMax, false, {&usage, 1, Type::kFloat8}, {}}; }
};

}  // namespace anomaly::bench
