// Composes the queries of a rule. In a commit:
//   SELECT * FROM (SELECT 0, x.ordinal, <labels>, <window>, <message>, f.severity, ...
//     FROM anomaly_changes x, LATERAL rule(ROW(x.a, x.b, ...)::schema.table) f WHERE <closed>
//     LIMIT <as many as are counted>) q ORDER BY 1, 4, 2, 8, 11, 9, 10
// With anomaly_parameters p beside the changes, p.number for 0 and p.parameters as the function's
// second argument, for several rules of one function. In the order of windows, as what happened is
// told. Ordered by the finding itself within a row: its position in the set, which is part of its
// id, does not depend on the plan. The limit is inside: a rule without measure is not to be sorted
// to its end first. Over history:
//   SELECT <labels>, <window>, f.severity, ... FROM (SELECT x.* FROM schema.table AS x
//     WHERE <window's end> > $1 AND <window's end> <= $2 OFFSET 0) AS x, LATERAL rule(...) f
#include "pg/rule/rule_query.h"

#include "pg/table/table_writer.h"
#include "pg/table/write_statements.h"

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

// The start (0) or end (1) of the row's window. It may not be in the select list: then it follows
// from the other one. False: neither is there.
bool append_window_bound(StringInfo out, Relation table, const TableDefinition* definition,
                         int which) {
    const char* bounds[2] = {NULL, NULL};
    for (int i = 0; i < definition->output_count; i++) {
        for (int w = 0; w < 2; w++) {
            if (is_window_attribute(definition, definition->outputs[i].group_attribute, w)) {
                bounds[w] = quote_identifier(column_name(table, i));
            }
        }
    }
    if (bounds[which] != NULL) {
        appendStringInfo(out, "x.%s", bounds[which]);
    } else if (bounds[1 - which] != NULL) {
        constexpr const char* kUnits[] = {"microseconds", "days", "months"};
        appendStringInfo(out, "x.%s %c interval '%lld %s'", bounds[1 - which],
                         which == 0 ? '-' : '+', static_cast<long long>(definition->window.size),
                         kUnits[static_cast<int>(definition->window.unit)]);
    } else {
        appendStringInfoString(out, "NULL::timestamptz");
        return false;
    }
    return true;
}

void append_labels(StringInfo out, Relation table, const TableDefinition* definition) {
    append_series(out, table, definition);
    appendStringInfoString(out, ", ");
    append_window_bound(out, table, definition, 0);
    appendStringInfoString(out, ", ");
    append_window_bound(out, table, definition, 1);
}

char* table_name(Relation table) {
    return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(table)),
                                      RelationGetRelationName(table));
}

// function(ROW(...)::table), function(ROW(...)::table, '...'::jsonb) or, shared,
// function(ROW(...)::table, p.parameters)
void append_call(StringInfo out, Relation table, const TableDefinition* definition,
                 const RuleCall& rule, bool shared) {
    appendStringInfo(out, "%s(ROW(", rule.function);
    for (int i = 0; i < definition->output_count; i++) {
        appendStringInfo(out, "%sx.%s", i == 0 ? "" : ", ",
                         quote_identifier(column_name(table, i)));
    }
    appendStringInfo(out, ")::%s", table_name(table));
    if (shared) {
        appendStringInfo(out, ", p.%s", kParametersColumn);
    } else if (rule.parameters != NULL) {
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

// What of a call's results is a finding.
void append_found(StringInfo out, const char* result, const char* call) {
    if (strcmp(result, "boolean") == 0) {
        appendStringInfoString(out, call);
    } else if (strcmp(result, "text") == 0) {
        appendStringInfoString(out, "f.message IS NOT NULL");
    } else {
        // A function that returns NULL gives a row of NULLs: nothing was found.
        appendStringInfoString(out,
                               "NOT (f.severity IS NULL AND f.value IS NULL AND "
                               "f.threshold IS NULL AND f.message IS NULL)");
    }
}

}  // namespace

char* make_rule_query(Oid table_oid, const TableDefinition* definition, const RuleCall& rule,
                      bool on_close, bool shared) {
    Relation table = table_open(table_oid, NoLock);
    StringInfoData call;
    initStringInfo(&call);
    append_call(&call, table, definition, rule, shared);
    StringInfoData query;
    initStringInfo(&query);
    appendStringInfo(&query, "SELECT * FROM (SELECT %s%s, x.%s, ", shared ? "p." : "0 AS ",
                     kNumberColumn, quote_identifier(kOrdinalColumn));
    append_labels(&query, table, definition);
    appendStringInfo(&query, ", x.%s, x.%s", quote_identifier(kPartitionColumn),
                     quote_identifier(kOffsetColumn));
    append_finding(&query, rule.result);
    appendStringInfo(&query, " FROM %s AS x", kChangesName);
    if (shared) appendStringInfo(&query, " CROSS JOIN %s AS p", kParametersName);
    append_source(&query, rule.result, call.data);
    appendStringInfo(&query, " WHERE x.%s AND ",
                     quote_identifier(on_close ? kClosedColumn : kChangedColumn));
    append_found(&query, rule.result, call.data);
    appendStringInfo(&query, " LIMIT %d) AS q ORDER BY 1, 4, 2, 8, 11, 9, 10", kMaxCountedFindings);
    table_close(table, NoLock);
    return query.data;
}

char* make_touched_query(Oid table_oid, const TableDefinition* definition) {
    Relation table = table_open(table_oid, NoLock);
    StringInfoData query;
    initStringInfo(&query);
    constexpr const char* kRows[] = {kChangesName, kGoneName};
    for (const char* rows : kRows) {
        appendStringInfoString(&query, query.len == 0 ? "SELECT " : " UNION ALL SELECT ");
        append_series(&query, table, definition);
        appendStringInfoString(&query, ", ");
        append_window_bound(&query, table, definition, 0);
        appendStringInfo(&query, " FROM %s AS x WHERE x.%s", rows,
                         quote_identifier(kChangedColumn));
    }
    table_close(table, NoLock);
    return query.data;
}

char* make_rule_test_query(Oid table_oid, const TableDefinition* definition, const RuleCall& rule) {
    Relation table = table_open(table_oid, NoLock);
    StringInfoData call;
    StringInfoData window_end;
    StringInfoData query;
    initStringInfo(&call);
    initStringInfo(&window_end);
    initStringInfo(&query);
    append_call(&call, table, definition, rule, false);
    appendStringInfoString(&query, "SELECT ");
    append_labels(&query, table, definition);
    append_finding(&query, rule.result);
    appendStringInfo(&query, " FROM (SELECT x.* FROM %s AS x", table_name(table));
    if (append_window_bound(&window_end, table, definition, 1)) {
        appendStringInfo(&query, " WHERE %s > $1 AND %s <= $2", window_end.data, window_end.data);
    }
    // A row outside of the span must not reach the function, which might not like it.
    appendStringInfoString(&query, " OFFSET 0) AS x");
    append_source(&query, rule.result, call.data);
    appendStringInfoString(&query, " WHERE ");
    append_found(&query, rule.result, call.data);
    appendStringInfoString(&query, " ORDER BY 3, 1");
    table_close(table, NoLock);
    return query.data;
}

}  // namespace anomaly::pg
