// Composes and runs INSERT ... ON CONFLICT, UPDATE and DELETE over the rows of a commit.
#include "pg/table/write_statements.h"

#include "pg/table/table_writer.h"

namespace anomaly::pg {

namespace {

const char* quoted_column(Relation table, int i) {
    return quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(table), i)->attname));
}

enum class Columns { kAll, kKey, kOther };

// "prefix.column" of each column that is meant, separated.
void append_columns(StringInfo out, Relation table, const TableDefinition* definition,
                    Columns which, const char* prefix) {
    bool first = true;
    for (int i = 0; i < definition->output_count; i++) {
        const bool key = definition->outputs[i].is_group_column;
        if (which != Columns::kAll && key != (which == Columns::kKey)) continue;
        appendStringInfo(out, "%s%s%s", first ? "" : ", ", prefix, quoted_column(table, i));
        first = false;
    }
}

int count_columns(const TableDefinition* definition, bool key) {
    int count = 0;
    for (int i = 0; i < definition->output_count; i++) {
        if (definition->outputs[i].is_group_column == key) count++;
    }
    return count;
}

void append_assignments(StringInfo out, Relation table, const TableDefinition* definition,
                        const char* source) {
    bool first = true;
    for (int i = 0; i < definition->output_count; i++) {
        if (definition->outputs[i].is_group_column) continue;
        const char* column = quoted_column(table, i);
        appendStringInfo(out, "%s%s = %s.%s", first ? "" : ", ", column, source, column);
        first = false;
    }
}

void append_conflict(StringInfo out, Relation table, const TableDefinition* definition) {
    if (definition->kind == TableKind::kFilter || count_columns(definition, true) == 0) return;
    appendStringInfoString(out, " ON CONFLICT (");
    append_columns(out, table, definition, Columns::kKey, "");
    if (count_columns(definition, false) == 0) {
        appendStringInfoString(out, ") DO NOTHING");
        return;
    }
    appendStringInfoString(out, ") DO UPDATE SET ");
    append_assignments(out, table, definition, "excluded");
}

// In the order of the key's index, about, where core has not put them so (core/group/key_order.h):
// here too texts are in the order of their bytes.
void append_key_order(StringInfo out, Relation table, const TableDefinition* definition) {
    if (definition->kind == TableKind::kFilter || orders_by_cells(definition)) return;
    const char* separator = " ORDER BY ";
    for (int i = 0; i < definition->output_count; i++) {
        if (!definition->outputs[i].is_group_column) continue;
        const bool collates = OidIsValid(TupleDescAttr(RelationGetDescr(table), i)->attcollation);
        appendStringInfo(out, "%sc.%s%s", separator, quoted_column(table, i),
                         collates ? " COLLATE pg_catalog.\"C\"" : "");
        separator = ", ";
    }
}

char* make_insert(Relation table, const TableDefinition* definition, const char* name) {
    StringInfoData text;
    initStringInfo(&text);
    appendStringInfo(&text, "INSERT INTO %s (", name);
    append_columns(&text, table, definition, Columns::kAll, "");
    appendStringInfoString(&text, ") SELECT ");
    append_columns(&text, table, definition, Columns::kAll, "c.");
    appendStringInfo(&text, " FROM %s c WHERE c.%s", kChangesName,
                     quote_identifier(kChangedColumn));
    append_key_order(&text, table, definition);
    return text.data;
}

char* make_upsert(Relation table, const TableDefinition* definition, const char* name) {
    StringInfoData text;
    initStringInfo(&text);
    appendStringInfoString(&text, make_insert(table, definition, name));
    append_conflict(&text, table, definition);
    return text.data;
}

char* make_update(Relation table, const TableDefinition* definition, const char* name) {
    StringInfoData text;
    initStringInfo(&text);
    appendStringInfo(&text, "UPDATE %s SET ", name);
    append_assignments(&text, table, definition, "c");
    appendStringInfo(&text, " FROM %s c WHERE c.%s", kChangesName,
                     quote_identifier(kChangedColumn));
    return text.data;
}

char* make_remove(Relation table, const TableDefinition* definition, const char* name) {
    StringInfoData text;
    initStringInfo(&text);
    appendStringInfo(&text, "DELETE FROM %s t USING %s g WHERE true", name, kGoneName);
    for (int i = 0; i < definition->output_count; i++) {
        const OutputColumn* output = &definition->outputs[i];
        if (!output->is_group_column) continue;
        const char* column = quoted_column(table, i);
        appendStringInfo(&text,
                         output->nullable ? " AND t.%s IS NOT DISTINCT FROM g.%s"
                                          : " AND t.%s OPERATOR(pg_catalog.=) g.%s",
                         column, column);
    }
    return text.data;
}

char* make_expire(Relation table, const TableDefinition* definition, const char* name) {
    return psprintf("DELETE FROM %s t WHERE t.%s OPERATOR(pg_catalog.<=) $1", name,
                    quoted_column(table, window_output(definition)));
}

int64 run(SPIPlanPtr* plan, const char* text, int expected) {
    if (*plan == NULL) {
        *plan = SPI_prepare(text, 0, NULL);
        if (*plan == NULL) {
            elog(ERROR, "cannot prepare \"%s\": %s", text, SPI_result_code_string(SPI_result));
        }
        SPI_keepplan(*plan);
    }
    const int result = SPI_execute_plan(*plan, NULL, NULL, false, 0);
    if (result != expected) {
        elog(ERROR, "unexpected result %s of \"%s\"", SPI_result_code_string(result), text);
    }
    return static_cast<int64>(SPI_processed);
}

}  // namespace

const char* qualified_name(Relation table) {
    return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(table)),
                                      RelationGetRelationName(table));
}

void make_write_statements(Relation table, const TableDefinition* definition,
                           WriteStatements* statements) {
    const char* name = qualified_name(table);
    const bool keyed = count_columns(definition, true) > 0;
    statements->upsert = make_upsert(table, definition, name);
    statements->insert = make_insert(table, definition, name);
    if (definition->kind == TableKind::kFilter) return;
    if (!keyed) statements->update = make_update(table, definition, name);
    statements->remove = make_remove(table, definition, name);
    if (definition->kind != TableKind::kWindowed) return;
    statements->expire = make_expire(table, definition, name);
    statements->expires_by_end = definition->outputs[window_output(definition)].group_attribute !=
                                 window_start_attribute(definition);
}

int64 run_write_statements(WriteStatements* statements) {
    int64 touched = 0;
    if (statements->gone_count > 0) {
        touched += run(&statements->remove_plan, statements->remove, SPI_OK_DELETE);
    }
    if (statements->present_count == 0) return touched;
    if (statements->update != NULL) {
        const int64 updated = run(&statements->update_plan, statements->update, SPI_OK_UPDATE);
        if (updated > 0) return touched + updated;
    }
    if (statements->all_new) {
        return touched + run(&statements->insert_plan, statements->insert, SPI_OK_INSERT);
    }
    return touched + run(&statements->upsert_plan, statements->upsert, SPI_OK_INSERT);
}

int64 run_expire_statement(WriteStatements* statements, const TableChanges* changes) {
    if (statements->expire_plan == NULL) {
        Oid type = TIMESTAMPTZOID;
        statements->expire_plan = SPI_prepare(statements->expire, 1, &type);
        if (statements->expire_plan == NULL) {
            elog(ERROR, "cannot prepare \"%s\": %s", statements->expire,
                 SPI_result_code_string(SPI_result));
        }
        SPI_keepplan(statements->expire_plan);
    }
    Datum bound =
        TimestampTzGetDatum(statements->expires_by_end ? changes->gone_end : changes->gone_start);
    const int result = SPI_execute_plan(statements->expire_plan, &bound, NULL, false, 0);
    if (result != SPI_OK_DELETE) {
        elog(ERROR, "unexpected result %s of \"%s\"", SPI_result_code_string(result),
             statements->expire);
    }
    return static_cast<int64>(SPI_processed);
}

}  // namespace anomaly::pg
