// A continuous table's SELECT, taken apart: what core computes (keys, aggregates, filters) and what
// PostgreSQL projects from each group afterwards (the select list and HAVING).
#pragma once

#include "core/spec.h"
#include "pg/pg.h"
#include "pg/query/aggregate_plan.h"

namespace anomaly::pg {

// One column of the continuous table.
struct OutputColumn {
    const char* name;
    Oid type;
    int32 typmod;
    Oid collation;
    bool is_group_column;  // part of the table's key
    bool nullable;         // may it be NULL? (only asked of group columns)
    int group_attribute;   // number in the group row it is copied from, 0: `expr` is evaluated
    Expr* expr;            // over the group row (Vars of varno 1); of a filter: over the stream
};

// The group row: the keys, window_start and window_end (windowed only), the aggregates.
struct TableDefinition {
    Oid stream;
    Index stream_varno;
    bool with_children;  // FROM has no ONLY: in SQL, tables that inherit from the stream are read
                         // too
    TableKind kind;
    TupleDesc group_row;
    int key_count;
    Expr** keys;
    Expr* where;  // NULL: none
    int aggregate_count;
    Aggref** aggregates;
    AggregatePlan* aggregate_plans;
    int output_count;
    OutputColumn* outputs;
    Expr* having;       // over the group row, NULL: none
    WindowSpec window;  // kWindowed
    Query* query;
};

// Number of a group row's attribute.
inline int key_attribute(int key) {
    return key + 1;
}
inline int window_start_attribute(const TableDefinition* definition) {
    return definition->key_count + 1;
}
inline int aggregate_attribute(const TableDefinition* definition, int aggregate) {
    return definition->key_count + (definition->kind == TableKind::kWindowed ? 2 : 0) + aggregate +
           1;
}

// Number of the output that is the window's end, or, where that is not selected, its start.
inline int window_output(const TableDefinition* definition) {
    int found = -1;
    for (int i = 0; i < definition->output_count; i++) {
        const int bound =
            definition->outputs[i].group_attribute - window_start_attribute(definition);
        if (bound == 1) return i;
        if (bound == 0) found = i;
    }
    return found;
}

// Takes an analyzed SELECT apart; raises an error with the reason and a way out for what cannot be
// maintained. Everything lives in the current memory context; the query is changed, and kept as it
// was.
TableDefinition* analyze_definition(Query* query);

// Parses the stored text of a definition, under the settings in force; the second takes it apart.
Query* parse_query(const char* text);
TableDefinition* parse_definition(const char* text);

// The spec that core is given. Expressions that core has no exact program for are left to
// PostgreSQL. Lives in the current memory context.
struct TableTerms {
    bool emit_on_close;
    int64 allowed_lateness_us;
    int64 retention_us;  // kForEver: rows are kept
};
TableSpec* make_table_spec(const TableDefinition* definition, Oid table, const TableTerms& terms);
// Whether core can put the rows of a commit into the order of their key: it knows what all of the
// key's cells mean.
bool orders_by_cells(const TableDefinition* definition);

// Number of expressions as bridge/ingest.h counts them, and each (NULL: absent).
int expression_count(const TableDefinition* definition);
Expr* expression_at(const TableDefinition* definition, int number);

// Marks the stream's columns (by attribute number - 1) that the definition uses.
void mark_used_columns(const TableDefinition* definition, bool* used);

}  // namespace anomaly::pg
