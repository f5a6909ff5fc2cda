// From a definition to the spec that core is given, and the numbering of expressions that the two
// sides share (bridge/ingest.h).
#include "bridge/ingest.h"

#include "pg/compile/compile.h"
#include "pg/query/definition.h"
#include "pg/query/key_identity.h"

namespace anomaly::pg {

namespace {

ExprSpec spec_of(Expr* expr, Index varno) {
    ExprSpec spec = {};
    if (expr != NULL) {
        Node* folded = eval_const_expressions(NULL, reinterpret_cast<Node*>(expr));
        compile_expr(folded, varno, &spec);
    }
    return spec;
}

AggregateSpec spec_of_aggregate(const AggregatePlan& plan, Index varno) {
    AggregateSpec spec = {};
    spec.kind = plan.kind;
    spec.has_filter = plan.aggregate->aggfilter != NULL;
    spec.argument = spec_of(plan.argument, varno);
    spec.filter = spec_of(plan.aggregate->aggfilter, varno);
    return spec;
}

template <class T>
T* palloc_array_of(int count) {
    return static_cast<T*>(palloc0(sizeof(T) * static_cast<Size>(count + 1)));
}

// The group columns as the key's index has them.
void order_rows(const TableDefinition* definition, TableSpec* spec) {
    if (!orders_by_cells(definition)) return;
    int32* order = palloc_array_of<int32>(definition->output_count);
    for (int o = 0; o < definition->output_count; o++) {
        if (!definition->outputs[o].is_group_column) continue;
        const int key = definition->outputs[o].group_attribute - key_attribute(0);
        order[spec->row_order_count++] = key < definition->key_count ? key : kWindowColumn;
    }
    spec->row_order = order;
}

// What core cannot compare is bytes to it (pg/query/key_identity.h).
ExprSpec spec_of_key(Expr* key, Index varno) {
    const Node* node = reinterpret_cast<const Node*>(key);
    if (!needs_identity(node)) return spec_of(key, varno);
    check_identity(node);
    return {NULL, 0, Type::kBytea};
}

}  // namespace

TableSpec* make_table_spec(const TableDefinition* definition, Oid table, const TableTerms& terms) {
    const Index varno = definition->stream_varno;
    TableSpec* spec = static_cast<TableSpec*>(palloc0(sizeof(TableSpec)));
    spec->id = table;
    spec->kind = definition->kind;
    spec->emit_on_close = terms.emit_on_close;
    spec->window = definition->window;
    spec->allowed_lateness_us = terms.allowed_lateness_us;
    spec->retention_us = terms.retention_us;
    spec->has_where = definition->where != NULL;
    spec->where = spec_of(definition->where, varno);
    ExprSpec* keys = palloc_array_of<ExprSpec>(definition->key_count);
    for (int k = 0; k < definition->key_count; k++) {
        keys[k] = spec_of_key(definition->keys[k], varno);
    }
    spec->keys = keys;
    spec->key_count = definition->key_count;
    AggregateSpec* aggregates = palloc_array_of<AggregateSpec>(definition->aggregate_count);
    for (int a = 0; a < definition->aggregate_count; a++) {
        aggregates[a] = spec_of_aggregate(definition->aggregate_plans[a], varno);
    }
    order_rows(definition, spec);
    spec->aggregates = aggregates;
    spec->aggregate_count = definition->aggregate_count;
    if (definition->kind == TableKind::kFilter) {
        ExprSpec* outputs = palloc_array_of<ExprSpec>(definition->output_count);
        for (int o = 0; o < definition->output_count; o++) {
            outputs[o] = spec_of(definition->outputs[o].expr, varno);
        }
        spec->outputs = outputs;
        spec->output_count = definition->output_count;
    }
    return spec;
}

bool orders_by_cells(const TableDefinition* definition) {
    for (int k = 0; k < definition->key_count; k++) {
        if (needs_identity(reinterpret_cast<const Node*>(definition->keys[k]))) return false;
    }
    return definition->kind != TableKind::kFilter;
}

int expression_count(const TableDefinition* definition) {
    const int outputs = definition->kind == TableKind::kFilter ? definition->output_count : 0;
    return 1 + definition->key_count + 2 * definition->aggregate_count + outputs;
}

Expr* expression_at(const TableDefinition* definition, int number) {
    if (number == bridge::expression_where()) return definition->where;
    number -= 1;
    if (number < definition->key_count) return definition->keys[number];
    number -= definition->key_count;
    if (number < 2 * definition->aggregate_count) {
        const AggregatePlan* plan = &definition->aggregate_plans[number / 2];
        return number % 2 == 0 ? plan->aggregate->aggfilter : plan->argument;
    }
    return definition->outputs[number - 2 * definition->aggregate_count].expr;
}

void mark_used_columns(const TableDefinition* definition, bool* used) {
    for (int e = 0; e < expression_count(definition); e++) {
        Node* expr = reinterpret_cast<Node*>(expression_at(definition, e));
        Bitmapset* attributes = NULL;
        pull_varattnos(expr, definition->stream_varno, &attributes);
        int member = -1;
        while ((member = bms_next_member(attributes, member)) >= 0) {
            const int attribute = member + FirstLowInvalidHeapAttributeNumber;
            if (attribute <= 0) {
                ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                                errmsg("a continuous table cannot use the whole row or a system "
                                       "column of a stream"),
                                errhint("Name the columns.")));
            }
            used[attribute - 1] = true;
        }
    }
}

}  // namespace anomaly::pg
