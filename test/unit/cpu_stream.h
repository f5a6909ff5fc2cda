// The seed's stream of CPU readings and continuous tables over it, for tests of the engine.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "core/spec.h"
#include "core/time/window.h"

namespace anomaly::testing {

constexpr int64_t kSecond = 1000000;

inline ExprNode node(Op op, Type type, int32_t a = -1, int32_t b = -1) {
    return {op, type, false, {a, b, -1}, 0, 0, nullptr, 0};
}
inline ExprNode column_node(int32_t column, Type type) {
    ExprNode n = node(Op::kColumn, type);
    n.int_value = column;
    return n;
}

inline WindowSpec tumble(int64_t size_us) {
    return {WindowUnit::kMicroseconds, size_us, size_us, 0, 0, {}};
}

// hostname, cpu, usage, occurred_at (ms since 1970), time_ltz generated from it.
struct CpuStream {
    enum Column { kHost, kCpu, kUsage, kOccurred, kTime, kColumns };
    const char* paths[4] = {"hostname", "cpu", "usage", "occurred_at"};
    ExprNode time[3] = {column_node(kOccurred, Type::kInt8),
                        node(Op::kIntDivPow10, Type::kFloat8, 0),
                        node(Op::kToTimestamp, Type::kTimestamptz, 1)};
    StreamColumnSpec columns[kColumns] = {};
    StreamSpec spec = {};

    ExprNode usage = column_node(kUsage, Type::kFloat8);
    ExprNode host = column_node(kHost, Type::kText);
    ExprNode cpu = column_node(kCpu, Type::kText);
    ExprNode over[3] = {column_node(kUsage, Type::kFloat8), node(Op::kConstant, Type::kFloat8),
                        node(Op::kFloatGt, Type::kBool, 0, 1)};
    ExprSpec keys[2] = {{&host, 1, Type::kText}, {&cpu, 1, Type::kText}};
    AggregateSpec aggregates[2] = {};
    int32_t row_order[3] = {0, 1, kWindowColumn};

    CpuStream() {
        time[1].int_value = 3;
        over[1].float_value = 80;
        Type types[] = {Type::kText, Type::kText, Type::kFloat8, Type::kInt8};
        for (int i = 0; i < 4; i++) {
            columns[i] = {&paths[i], 1, types[i], Source::kField, false, true, {}};
        }
        columns[kTime] = {nullptr, 0,    Type::kTimestamptz,           Source::kGenerated,
                          false,   true, {time, 3, Type::kTimestamptz}};
        spec = {"cpu", columns, kColumns, kTime, 10 * kSecond, 60 * kSecond, 3600 * kSecond};
        aggregates[0] = {AggregateKind::kAvg, false, {&usage, 1, Type::kFloat8}, {}};
        aggregates[1] = {
            AggregateKind::kMax, true, {&usage, 1, Type::kFloat8}, {over, 3, Type::kBool}};
    }
    CpuStream(const CpuStream&) = delete;
    CpuStream& operator=(const CpuStream&) = delete;

    // avg(usage), max(usage) FILTER (WHERE usage > 80) GROUP BY hostname, cpu and 30 s windows.
    TableSpec windowed(bool emit_on_close = false) const {
        TableSpec table = running();
        table.kind = TableKind::kWindowed;
        table.emit_on_close = emit_on_close;
        table.window = tumble(30 * kSecond);
        table.row_order_count = 3;
        return table;
    }
    TableSpec running() const {
        TableSpec table = {};
        table.id = 1;
        table.retention_us = kForEver;
        table.kind = TableKind::kRunningTotal;
        table.keys = keys;
        table.key_count = 2;
        table.aggregates = aggregates;
        table.aggregate_count = 2;
        table.row_order = row_order;
        table.row_order_count = 2;
        return table;
    }
    // SELECT hostname WHERE usage > 80.
    TableSpec filter() const {
        TableSpec table = {};
        table.id = 2;
        table.kind = TableKind::kFilter;
        table.has_where = true;
        table.where = {over, 3, Type::kBool};
        table.outputs = keys;
        table.output_count = 1;
        return table;
    }
};

inline std::string cpu_message(const std::string& host, double usage, int64_t time_us) {
    char text[200];
    std::snprintf(text, sizeof text,
                  R"({"hostname": "%s", "cpu": "cpu0", "usage": %.17g, "occurred_at": %lld})",
                  host.c_str(), usage, static_cast<long long>((time_us - kWindowOriginUs) / 1000));
    return text;
}

}  // namespace anomaly::testing
