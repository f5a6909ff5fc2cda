// anomaly.explain: what of a continuous table runs natively, and what PostgreSQL evaluates.
#include "bridge/ingest.h"

#include "pg/ddl/continuous_ddl.h"
#include "pg/query/definition.h"
#include "pg/server/call.h"
#include "pg/server/catalog.h"
#include "pg/server/pinned_settings.h"

namespace anomaly::pg {

namespace {

struct Explanation {
    StringInfoData text;
    const TableDefinition* definition;
    List* names;  // for the deparser
};

const char* evaluated_by(const ExprSpec& spec) {
    return spec.node_count > 0 ? "native" : "evaluated by PostgreSQL";
}

char* expression_text(const Explanation* explanation, const Expr* expr) {
    Node* node = reinterpret_cast<Node*>(copyObjectImpl(expr));
    // The deparser is given one relation, number 1.
    ChangeVarNodes(node, static_cast<int>(explanation->definition->stream_varno), 1, 0);
    return deparse_expression(node, explanation->names, false, false);
}

void add_expression(Explanation* explanation, const char* label, const Expr* expr,
                    const ExprSpec& spec) {
    appendStringInfo(&explanation->text, "%s: %s (%s)\n", label, expression_text(explanation, expr),
                     evaluated_by(spec));
}

char* interval_text(int64 count, WindowUnit unit) {
    Interval interval = {};
    if (unit == WindowUnit::kMonths) {
        interval.month = static_cast<int32>(count);
    } else if (unit == WindowUnit::kDays) {
        interval.day = static_cast<int32>(count);
    } else {
        interval.time = count;
    }
    return DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(&interval)));
}

void add_window(StringInfo text, const WindowSpec* window) {
    if (window->slide == window->size) {
        appendStringInfo(text, "window: tumble, size %s",
                         interval_text(window->size, window->unit));
    } else {
        appendStringInfo(text, "window: hop, slide %s, size %s",
                         interval_text(window->slide, window->unit),
                         interval_text(window->size, window->unit));
    }
    if (window->offset_us != 0 || window->offset_months != 0) {
        Interval offset = {};
        offset.month = static_cast<int32>(window->offset_months);
        offset.time = window->offset_us;
        appendStringInfo(
            text, ", offset %s",
            DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(&offset))));
    }
    if (window->unit != WindowUnit::kMicroseconds) {
        appendStringInfo(text, ", time zone %s", pg_get_timezone_name(session_timezone));
    }
}

void add_kind(Explanation* explanation, bool emit_on_close) {
    const TableDefinition* definition = explanation->definition;
    StringInfo text = &explanation->text;
    switch (definition->kind) {
        case TableKind::kFilter:
            appendStringInfoString(text, "filter: a row is appended for each message\n");
            break;
        case TableKind::kRunningTotal:
            appendStringInfoString(text, "running total: groups are kept for ever\n");
            break;
        case TableKind::kWindowed:
            add_window(text, &definition->window);
            appendStringInfo(text, "\nemit: %s\n", emit_on_close ? "close" : "update");
            break;
    }
}

const char* computed_by(AggregateKind kind) {
    switch (kind) {
        case AggregateKind::kFolded:
            return "computed by PostgreSQL, its state is kept";
        case AggregateKind::kFirst:
        case AggregateKind::kLast:
            return "native, one row is kept";
        case AggregateKind::kKept:
            return "computed by PostgreSQL, the input values are kept";
        case AggregateKind::kKeptDistinct:
            return "computed by PostgreSQL, the distinct input values are kept";
        case AggregateKind::kCountDistinct:
            return "native, the distinct input values are kept";
        default:
            return "native state";
    }
}

void add_aggregates(Explanation* explanation, const TableSpec* spec) {
    const TableDefinition* definition = explanation->definition;
    for (int a = 0; a < definition->aggregate_count; a++) {
        const Aggref* aggregate = definition->aggregates[a];
        const AggregateSpec* kept = &spec->aggregates[a];
        const AggregatePlan* plan = &definition->aggregate_plans[a];
        appendStringInfo(&explanation->text, "aggregate: %s (%s)\n",
                         expression_text(explanation, reinterpret_cast<const Expr*>(aggregate)),
                         computed_by(plan->kind));
        if (plan->argument != NULL) {
            add_expression(explanation, is_packed(plan->argument) ? "  arguments" : "  argument",
                           plan->argument, kept->argument);
        }
        if (kept->has_filter) {
            add_expression(explanation, "  filter", aggregate->aggfilter, kept->filter);
        }
    }
}

void add_outputs(Explanation* explanation, const TableSpec* spec) {
    const TableDefinition* definition = explanation->definition;
    int evaluated = 0;
    for (int i = 0; i < definition->output_count; i++) {
        const OutputColumn* output = &definition->outputs[i];
        if (definition->kind == TableKind::kFilter) {
            add_expression(explanation, "column", output->expr, spec->outputs[i]);
        } else if (output->group_attribute == 0) {
            evaluated++;
        }
    }
    if (definition->kind == TableKind::kFilter) return;
    appendStringInfo(&explanation->text,
                     "columns: %d copied, %d evaluated by PostgreSQL for each changed row\n",
                     definition->output_count - evaluated, evaluated);
    if (definition->having != NULL) {
        appendStringInfoString(&explanation->text,
                               "having: evaluated by PostgreSQL for each changed row\n");
    }
}

void add_state(Explanation* explanation, const TableSpec* spec) {
    if (explanation->definition->kind == TableKind::kFilter) return;
    bridge::GroupSize size = {};
    check(bridge::group_size(*spec, &size));
    appendStringInfo(&explanation->text, "state: %d bytes a group, beside its key%s\n", size.bytes,
                     size.keeps ? " and what aggregates keep of their input" : "");
}

// retention: as text, NULL: none.
char* explain(const TableDefinition* definition, const TableSpec* spec, const char* retention) {
    Explanation explanation = {};
    initStringInfo(&explanation.text);
    explanation.definition = definition;
    const char* stream = get_rel_name(definition->stream);
    explanation.names = deparse_context_for(stream, definition->stream);
    appendStringInfo(&explanation.text, "stream: %s\n", quote_identifier(stream));
    add_kind(&explanation, spec->emit_on_close);
    if (retention != NULL) {
        appendStringInfo(&explanation.text, "retention: %s after the window's end\n", retention);
    }
    if (definition->where != NULL) {
        add_expression(&explanation, "where", definition->where, spec->where);
    }
    for (int k = 0; k < definition->key_count; k++) {
        add_expression(&explanation, "key", definition->keys[k], spec->keys[k]);
    }
    add_aggregates(&explanation, spec);
    add_state(&explanation, spec);
    add_outputs(&explanation, spec);
    explanation.text.data[explanation.text.len - 1] = '\0';  // the last line's end
    return explanation.text.data;
}

char* select_text(Oid table, const char* statement) {
    const CatalogArgument argument = argument_oid(REGCLASSOID, table);
    return catalog_select_text(statement, &argument, 1);
}

}  // namespace

ANOMALY_FUNCTION(anomaly_explain) {
    const Oid table = PG_GETARG_OID(0);
    require_continuous_table(table);
    const AclResult result = pg_class_aclcheck(table, GetUserId(), ACL_SELECT);
    if (result != ACLCHECK_OK) aclcheck_error(result, OBJECT_TABLE, get_rel_name(table));
    const char* emit =
        select_text(table, "SELECT emit FROM anomaly.continuous_table WHERE relid = $1");
    const char* retention =
        select_text(table, "SELECT retention::text FROM anomaly.continuous_table WHERE relid = $1");
    const int nest_level = apply_settings(
        select_text(table, "SELECT settings::text FROM anomaly.continuous_table WHERE relid = $1"));
    const TableDefinition* definition = parse_definition(
        select_text(table, "SELECT definition FROM anomaly.continuous_table WHERE relid = $1"));
    const TableTerms terms = {strcmp(emit, "close") == 0, 0, kForEver};
    const TableSpec* spec = make_table_spec(definition, table, terms);
    char* text = explain(definition, spec, retention);
    AtEOXact_GUC(true, nest_level);
    PG_RETURN_TEXT_P(cstring_to_text(text));
}

}  // namespace anomaly::pg
