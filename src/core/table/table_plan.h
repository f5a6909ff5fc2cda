// A continuous table's definition, owned: what the PostgreSQL side handed down, with its
// expressions compiled where they are native. One thread (programs have scratch memory).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/error.h"
#include "core/group/aggregate.h"
#include "core/program/program.h"
#include "core/spec.h"
#include "core/time/window.h"

namespace anomaly {

struct Expression {
    bool present = false;
    Type type = Type::kBool;
    std::optional<Program> program;  // none: PostgreSQL evaluates it for every row

    static Expression of(const ExprSpec& spec);
};

class TablePlan {
  public:
    explicit TablePlan(const TableSpec& spec);
    // What this side of the wall cannot keep up to date; the window before a plan is made of it.
    static Error check_window(const TableSpec& spec, bool stream_has_event_time);
    Error check() const;

    TableKind kind;
    bool emit_on_close;
    int64_t allowed_lateness_us;
    int64_t retention_us;
    int32_t key_count;
    int32_t aggregate_count;
    int32_t output_count;
    std::optional<WindowRule> windows;  // kWindowed
    std::vector<AggregateKind> aggregate_kinds;
    std::vector<int32_t> row_order;
    // In the order of bridge/ingest.h: where, each key, each aggregate's filter and argument, each
    // output.
    std::vector<Expression> expressions;

    int32_t key_at(int32_t k) const { return 1 + k; }
    int32_t filter_at(int32_t a) const { return 1 + key_count + 2 * a; }
    int32_t argument_at(int32_t a) const { return filter_at(a) + 1; }
    int32_t output_at(int32_t o) const { return filter_at(aggregate_count) + o; }
    int32_t expression_count() const { return static_cast<int32_t>(expressions.size()); }
    Expression& at(int32_t e) { return expressions[static_cast<size_t>(e)]; }
    const Expression& at(int32_t e) const { return expressions[static_cast<size_t>(e)]; }

    std::vector<Type> key_types() const;
    // Both group by the same columns of the stream, and by nothing that is computed.
    bool shares_keys_with(const TablePlan& other) const;
    std::vector<std::unique_ptr<Aggregate>> make_aggregates() const;
};

}  // namespace anomaly
