// Composes the query of a rule:
//   SELECT * FROM (SELECT x.ordinal, <labels>, <window>, <message>, f.severity, ...
//     FROM anomaly_changes x, LATERAL rule(ROW(x.a, x.b, ...)::schema.table) f WHERE <closed>
//     LIMIT <one more than allowed>) q ORDER BY 1
// The limit is inside: a rule without measure is not to be sorted to its end first.
#include "pg/rule_query.h"

#include "pg/table_writer.h"

namespace anomaly::pg {

namespace {

const char* column_name(Relation table, int i) {
    return NameStr(TupleDescAttr(RelationGetDescr(table), i)->attname);
}

bool is_window_attribute(const TableDefinition* definition, int attribute, int which) {
    return definition->kind == TableKind::kWindowed && attribute != 0 &&
           attribute == window_start_attribute(definition) + which;
}

// The group key as labels; values as text, since labels are strings.
void append_series(StringInfo out, Relation table, const TableDefinition* definition) {
    appendStringInfoString(out, "pg_catalog.jsonb_build_object(");
    bool first = true;
    for (int i = 0; i < definition->output_count; i++) {
        const OutputColumn* output = &definition->outputs[i];
        if (!output->is_group_column ||
            is_window_attribute(definition, output->group_attribute, 0) ||
            is_window_attribute(definition, output->group_attribute, 1)) {
            continue;
        }
        appendStringInfo(out, "%s%s, x.%s::pg_catalog.text", first ? "" : ", ",
                         quote_literal_cstr(column_name(table, i)),
                         quote_identifier(column_name(table, i)));
        first = false;
    }
    appendStringInfoString(out, ")");
}

// A window's bound may not be in the select list: then it follows from the other one.
void append_window(StringInfo out, Relation table, const TableDefinition* definition) {
    const char* bounds[2] = {NULL, NULL};
    for (int i = 0; i < definition->output_count; i++) {
        for (int which = 0; which < 2; which++) {
            if (is_window_attribute(definition, definition->outputs[i].group_attribute, which)) {
                bounds[which] = quote_identifier(column_name(table, i));
            }
        }
    }
    const long long size_us = definition->window_size_us;
    if (bounds[0] != NULL) {
        appendStringInfo(out, "x.%s, ", bounds[0]);
    } else if (bounds[1] != NULL) {
        appendStringInfo(out, "x.%s - interval '%lld microseconds', ", bounds[1], size_us);
    } else {
        appendStringInfoString(out, "NULL::timestamptz, ");
    }
    if (bounds[1] != NULL) {
        appendStringInfo(out, "x.%s", bounds[1]);
    } else if (bounds[0] != NULL) {
        appendStringInfo(out, "x.%s + interval '%lld microseconds'", bounds[0], size_us);
    } else {
        appendStringInfoString(out, "NULL::timestamptz");
    }
}

// function(ROW(...)::table) or function(ROW(...)::table, '...'::jsonb)
void append_call(StringInfo out, Relation table, const TableDefinition* definition,
                 const RuleCall& rule) {
    appendStringInfo(out, "%s(ROW(", rule.function);
    for (int i = 0; i < definition->output_count; i++) {
        appendStringInfo(out, "%sx.%s", i == 0 ? "" : ", ",
                         quote_identifier(column_name(table, i)));
    }
    appendStringInfo(out, ")::%s",
                     quote_qualified_identifier(get_namespace_name(RelationGetNamespace(table)),
                                                RelationGetRelationName(table)));
    if (rule.parameters != NULL) {
        appendStringInfo(out, ", %s::pg_catalog.jsonb", quote_literal_cstr(rule.parameters));
    }
    appendStringInfoChar(out, ')');
}

void append_finding(StringInfo out, const char* result) {
    if (strcmp(result, "finding") == 0) {
        appendStringInfoString(out, ", f.severity, f.value, f.threshold, f.message");
    } else {
        const bool is_text = strcmp(result, "text") == 0;
        appendStringInfo(out, ", NULL::text, NULL::float8, NULL::float8, %s",
                         is_text ? "f.message" : "NULL::text");
    }
}

void append_source(StringInfo out, const char* result, const char* call) {
    if (strcmp(result, "finding") == 0) {
        appendStringInfo(out, ", LATERAL %s AS f", call);
    } else if (strcmp(result, "text") == 0) {
        appendStringInfo(out, ", LATERAL (SELECT %s AS message OFFSET 0) AS f", call);
    }
}

}  // namespace

char* make_rule_query(Oid table_oid, const TableDefinition* definition, const RuleCall& rule,
                      bool on_close) {
    const char* result = rule.result;
    Relation table = table_open(table_oid, NoLock);
    StringInfoData call;
    initStringInfo(&call);
    append_call(&call, table, definition, rule);
    StringInfoData query;
    initStringInfo(&query);
    appendStringInfo(&query, "SELECT * FROM (SELECT x.%s, ", quote_identifier(kOrdinalColumn));
    append_series(&query, table, definition);
    appendStringInfoString(&query, ", ");
    append_window(&query, table, definition);
    appendStringInfo(&query, ", x.%s, x.%s", quote_identifier(kPartitionColumn),
                     quote_identifier(kOffsetColumn));
    append_finding(&query, result);
    appendStringInfo(&query, " FROM %s AS x", kChangesName);
    append_source(&query, result, call.data);
    appendStringInfo(&query, " WHERE x.%s",
                     quote_identifier(on_close ? kClosedColumn : kChangedColumn));
    if (strcmp(result, "boolean") == 0) {
        appendStringInfo(&query, " AND %s", call.data);
    } else if (strcmp(result, "text") == 0) {
        appendStringInfoString(&query, " AND f.message IS NOT NULL");
    } else {
        // A function that returns NULL gives a row of NULLs: nothing was found.
        appendStringInfoString(&query,
                               " AND NOT (f.severity IS NULL AND f.value IS NULL AND "
                               "f.threshold IS NULL AND f.message IS NULL)");
    }
    appendStringInfo(&query, " LIMIT %d) AS q ORDER BY 1", kMaxFindings + 1);
    table_close(table, NoLock);
    return query.data;
}

}  // namespace anomaly::pg
