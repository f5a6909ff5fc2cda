// Programs over a column of a batch: the seed's computed event time, and a comparison.
#include <benchmark/benchmark.h>

#include "core/table/table_plan.h"
#include "inputs.h"

namespace anomaly::bench {
namespace {

void evaluate(benchmark::State& state, const ExprNode* nodes, int32_t count, Type type) {
    std::vector<Column> columns;
    for (Type each : {Type::kText, Type::kText, Type::kFloat8, Type::kInt8}) {
        columns.emplace_back(each).assign_nulls(kBatchRows);
    }
    for (int32_t row = 0; row < kBatchRows; row++) {
        columns[testing::CpuStream::kUsage].set_float(row, row % 100);
        columns[testing::CpuStream::kOccurred].set_int(row, kFirstMs + row);
    }
    Expression expression = Expression::of({nodes, count, type});
    Column value(type);
    std::vector<uint8_t> unsure;
    for (auto _ : state) {
        expression.program->evaluate(columns, kBatchRows, value, unsure);
        benchmark::DoNotOptimize(value.cells.data());
    }
    state.SetItemsProcessed(state.iterations() * kBatchRows);
}

void event_time(benchmark::State& state) {
    const SeedQuery query;
    evaluate(state, query.time, 3, Type::kTimestamptz);
}
BENCHMARK(event_time)->Unit(benchmark::kMicrosecond);

void comparison(benchmark::State& state) {
    const SeedQuery query;
    evaluate(state, query.over, 3, Type::kBool);
}
BENCHMARK(comparison)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace anomaly::bench
