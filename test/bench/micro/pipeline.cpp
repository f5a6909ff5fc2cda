// A batch's whole way through core, as one table of the seed's query takes it; and its first part.
#include <benchmark/benchmark.h>

#include "core/table/pipeline.h"
#include "inputs.h"

namespace anomaly::bench {
namespace {

// Argument: hosts, of five processors each.
void decode_and_fold(benchmark::State& state) {
    const SeedQuery query;
    Pipeline pipeline(query.spec, true);
    int32_t table = 0;
    const bool made =
        !pipeline.add_table(query.windowed(), {}, &table) && !pipeline.table(table)->restore_done();
    if (!made) return state.SkipWithError("no table");
    pipeline.assign({0, 0, -1, 0, kNoTime});
    demo::Readings readings({1, static_cast<int32_t>(state.range(0)), 5});
    MessageBatch batch;
    fill_batch(readings, 0, batch);
    for (auto _ : state) {
        pipeline.begin(batch, kNowUs);
        if (pipeline.next().kind != PipelineRequest::Kind::kNothing)
            state.SkipWithError("PostgreSQL was asked");
    }
    state.SetItemsProcessed(state.iterations() * kBatchRows);
}
BENCHMARK(decode_and_fold)->Arg(7)->Arg(5000)->Unit(benchmark::kMillisecond);

void decode(benchmark::State& state) {
    const SeedQuery query;
    const auto decoder = make_decoder(query.spec, true);
    demo::Readings readings({1, 7, 5});
    MessageBatch batch;
    fill_batch(readings, 0, batch);
    Arena arena;
    std::vector<Column> columns;
    MessageRows rows;
    for (auto _ : state) {
        arena.reset();
        decoder->decode(batch, arena, columns, rows);
        benchmark::DoNotOptimize(columns.data());
    }
    state.SetItemsProcessed(state.iterations() * kBatchRows);
}
BENCHMARK(decode)->Unit(benchmark::kMillisecond);

// The copy out of the client library's memory.
void copy(benchmark::State& state) {
    demo::Readings readings({1, 7, 5});
    MessageBatch from;
    fill_batch(readings, 0, from);
    MessageBatch batch;
    for (auto _ : state) {
        batch.clear();
        for (int32_t i = 0; i < from.size(); i++) {
            batch.add(0, i, 0, from.value(i).data(), from[i].value_size, from.key(i).data(),
                      from[i].key_size);
        }
        batch.finish();
    }
    state.SetItemsProcessed(state.iterations() * kBatchRows);
}
BENCHMARK(copy)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace anomaly::bench
