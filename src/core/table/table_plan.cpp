#include "core/table/table_plan.h"

namespace anomaly {

Expression Expression::of(const ExprSpec& spec) {
    Expression expression;
    expression.present = true;
    expression.type = spec.type;
    if (spec.node_count > 0) expression.program.emplace(spec);
    return expression;
}

TablePlan::TablePlan(const TableSpec& spec)
    : kind(spec.kind),
      emit_on_close(spec.emit_on_close),
      allowed_lateness_us(spec.allowed_lateness_us),
      retention_us(spec.retention_us),
      key_count(spec.key_count),
      aggregate_count(spec.aggregate_count),
      output_count(spec.output_count),
      row_order(spec.row_order, spec.row_order + spec.row_order_count) {
    if (kind == TableKind::kWindowed) windows.emplace(spec.window);
    expressions.push_back(spec.has_where ? Expression::of(spec.where) : Expression());
    for (int32_t k = 0; k < key_count; k++) expressions.push_back(Expression::of(spec.keys[k]));
    for (int32_t a = 0; a < aggregate_count; a++) {
        const AggregateSpec& aggregate = spec.aggregates[a];
        bool has_argument = aggregate.kind != AggregateKind::kCountStar;
        aggregate_kinds.push_back(aggregate.kind);
        expressions.push_back(aggregate.has_filter ? Expression::of(aggregate.filter)
                                                   : Expression());
        expressions.push_back(has_argument ? Expression::of(aggregate.argument) : Expression());
    }
    for (int32_t o = 0; o < output_count; o++) {
        expressions.push_back(Expression::of(spec.outputs[o]));
    }
}

Error TablePlan::check_window(const TableSpec& spec, bool stream_has_event_time) {
    if (spec.kind != TableKind::kWindowed) return {};
    if (!stream_has_event_time) return std::string("a window needs an event time");
    if (spec.allowed_lateness_us < 0) return std::string("lateness cannot be negative");
    if (spec.retention_us != kForEver && spec.retention_us < spec.allowed_lateness_us) {
        return std::string("a row would go before its window is closed");
    }
    return WindowRule::check(spec.window);
}

Error TablePlan::check() const {
    if (kind == TableKind::kFilter && (key_count != 0 || aggregate_count != 0)) {
        return std::string("a filter has neither keys nor aggregates");
    }
    if (kind != TableKind::kFilter && output_count != 0) {
        return std::string("only a filter has outputs of its own");
    }
    for (Type type : key_types()) {
        if (stride(type) > 2 || type == Type::kInt128) {
            return std::string("a group key of this type is not native");
        }
    }
    for (const auto& aggregate : make_aggregates()) {
        if (!aggregate) return std::string("an aggregate over this type is not native");
    }
    return {};
}

std::vector<Type> TablePlan::key_types() const {
    std::vector<Type> types;
    for (int32_t k = 0; k < key_count; k++) types.push_back(at(key_at(k)).type);
    return types;
}

bool TablePlan::shares_keys_with(const TablePlan& other) const {
    if (key_types() != other.key_types()) return false;
    for (int32_t k = 0; k < key_count; k++) {
        const std::optional<Program>& mine = at(key_at(k)).program;
        const std::optional<Program>& theirs = other.at(other.key_at(k)).program;
        if (!mine || !theirs || mine->column() < 0) return false;
        if (mine->column() != theirs->column()) return false;
    }
    return true;
}

std::vector<std::unique_ptr<Aggregate>> TablePlan::make_aggregates() const {
    std::vector<std::unique_ptr<Aggregate>> aggregates;
    for (int32_t a = 0; a < aggregate_count; a++) {
        aggregates.push_back(
            make_aggregate(aggregate_kinds[static_cast<size_t>(a)], at(argument_at(a)).type));
    }
    return aggregates;
}

}  // namespace anomaly
