// The groups of a table: finding the group of a row, a commit's checkpoint, the order of its rows.
// Argument: groups.
#include <benchmark/benchmark.h>

#include "core/group/group_store.h"
#include "core/group/key_order.h"
#include "core/table/checkpoint.h"
#include "inputs.h"

namespace anomaly::bench {
namespace {

std::vector<std::unique_ptr<Aggregate>> two_aggregates() {
    std::vector<std::unique_ptr<Aggregate>> out;
    out.push_back(make_aggregate(AggregateKind::kAvg, Type::kFloat8));
    out.push_back(make_aggregate(AggregateKind::kMax, Type::kFloat8));
    return out;
}

struct Series {
    explicit Series(int64_t groups) : names(Type::kText), usage(Type::kFloat8) {
        names.assign_nulls(kBatchRows);
        usage.assign_nulls(kBatchRows);
        for (int64_t g = 0; g < groups; g++) texts.push_back("series" + std::to_string(g));
    }
    // The batch's rows: groups in an order that no cache foresees. Like those of a decoded batch,
    // their texts lie together.
    void fill() {
        bytes.clear();
        bytes.reserve(size_t{kBatchRows} * 16);
        for (int32_t row = 0; row < kBatchRows; row++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            const std::string& text = texts[(state >> 33) % texts.size()];
            bytes.append(text);
            names.set_text(row, std::string_view(bytes).substr(bytes.size() - text.size()));
            usage.set_float(row, static_cast<double>(row));
        }
    }
    std::vector<std::string> texts;
    std::string bytes;
    uint64_t state = 1;
    Column names;
    Column usage;
    EncodedKeys keys{{Type::kText}};
};

void fold(GroupStore& store, Series& series) {
    series.keys.end_batch();
    series.keys.begin({&series.names}, kBatchRows);
    constexpr int32_t kPieceRows = 1024;
    std::vector<char*> groups;
    std::vector<int32_t> rows;
    const std::vector<int64_t> starts(kPieceRows, 0);
    for (int32_t from = 0; from < kBatchRows; from += kPieceRows) {
        rows.clear();
        groups.clear();
        for (int32_t row = 0; row < kPieceRows; row++) rows.push_back(from + row);
        store.touch_all(starts, rows, series.keys, groups);
        for (size_t a = 0; a < 2; a++) store.aggregate(a).update(groups, rows, &series.usage);
    }
}

void update_groups(benchmark::State& state) {
    GroupStore store({Type::kText}, two_aggregates());
    Series series(state.range(0));
    for (auto _ : state) {
        state.PauseTiming();
        series.fill();
        store.clear_changed();
        state.ResumeTiming();
        fold(store, series);
    }
    state.SetItemsProcessed(state.iterations() * kBatchRows);
    state.counters["bytes_per_group"] =
        static_cast<double>(store.memory_bytes()) / static_cast<double>(store.groups().size());
}
BENCHMARK(update_groups)->Arg(35)->Arg(35000)->Arg(1000000)->Unit(benchmark::kMillisecond);

void write_checkpoint(benchmark::State& state) {
    GroupStore store({Type::kText}, two_aggregates());
    Series series(state.range(0));
    for (int64_t i = 0; i * kBatchRows < 4 * state.range(0); i++) {
        series.fill();
        fold(store, series);
    }
    // Changed in another order than they were made in.
    store.clear_changed();
    for (int64_t i = 0; i * kBatchRows < 4 * state.range(0); i++) {
        series.fill();
        fold(store, series);
    }
    CheckpointPayload payload(store);
    for (auto _ : state) {
        store.sort_changed();
        payload.begin_delta(store.changed(), 0, 1);
        while (const CheckpointRow* row = payload.next()) benchmark::DoNotOptimize(row->data);
    }
    const int64_t bytes = payload.size();
    const auto groups = static_cast<int64_t>(store.changed().size());
    state.SetItemsProcessed(state.iterations() * groups);
    state.counters["bytes_per_group"] = static_cast<double>(bytes) / static_cast<double>(groups);
}
BENCHMARK(write_checkpoint)->Arg(35)->Arg(35000)->Arg(1000000)->Unit(benchmark::kMicrosecond);

// Keys of two columns; second argument: how much longer than their numbers the texts are.
void order_rows(benchmark::State& state) {
    GroupStore store({Type::kText, Type::kText}, two_aggregates());
    const std::string filling(static_cast<size_t>(state.range(1)), '/');
    const int64_t groups = state.range(0);
    std::vector<Column> columns(2, Column(Type::kText));
    for (Column& column : columns) column.assign_nulls(1);
    for (int64_t g = 0; g < groups; g++) {
        const int64_t number = g * 1234577 % groups;
        const std::string texts[] = {std::to_string(number / 32) + filling,
                                     std::to_string(number % 32) + filling};
        for (size_t k = 0; k < 2; k++) columns[k].set_text(0, texts[k]);
        store.touch(0, {&columns[0], &columns[1]}, 0);
    }
    KeyOrder order({Type::kText, Type::kText}, {0, 1, kWindowColumn});
    for (auto _ : state) {
        std::vector<uint32_t> slots = store.changed();
        order.sort(store.groups().rows(), slots);
        benchmark::DoNotOptimize(slots.data());
    }
    state.SetItemsProcessed(state.iterations() * groups);
}
BENCHMARK(order_rows)
    ->ArgsProduct({{35, 35000, 1000000, 3000000}, {0, 40}})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace anomaly::bench
