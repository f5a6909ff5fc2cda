// Records what the guard of a continuous table depends on.
#include "pg/ddl/continuous_dependencies.h"

#include "pg/ddl/continuous_create.h"
#include "pg/server/pinned_settings.h"

namespace anomaly::pg {

namespace {

struct Entry {
    Oid relid;
    char* definition;
    char* settings;
};

// Tables whose guard does not know its stream.
constexpr char kMissing[] =
    "SELECT c.relid::oid, c.definition, c.settings::text FROM anomaly.continuous_table c "
    "JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.relid AND t.tgname = $1 "
    "WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d "
    "WHERE d.classid = 'pg_catalog.pg_trigger'::regclass AND d.objid = t.oid "
    "AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.stream)";

List* tables_without_dependencies() {
    const MemoryContext target = CurrentMemoryContext;
    Oid types[] = {NAMEOID};
    NameData name;
    namestrcpy(&name, kGuardTriggerName);
    Datum values[] = {NameGetDatum(&name)};
    SPI_connect();
    if (SPI_execute_with_args(kMissing, 1, types, values, NULL, true, 0) != SPI_OK_SELECT) {
        elog(ERROR, "cannot read anomaly.continuous_table");
    }
    const MemoryContext spi_context = MemoryContextSwitchTo(target);
    List* entries = NIL;
    for (uint64 row = 0; row < SPI_processed; row++) {
        const HeapTuple tuple = SPI_tuptable->vals[row];
        bool is_null = false;
        Entry* entry = static_cast<Entry*>(palloc(sizeof(Entry)));
        entry->relid = DatumGetObjectId(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &is_null));
        entry->definition = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 2);
        entry->settings = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 3);
        entries = lappend(entries, entry);
    }
    MemoryContextSwitchTo(spi_context);
    SPI_finish();
    return entries;
}

// Without its key the worker could not find the rows that it changes. A primary key is a
// constraint, which ALTER TABLE does not drop; the unique index that stands in for one is kept by
// the guard's dependency on it.
Oid find_key_index(Oid table) {
    Relation relation = table_open(table, AccessShareLock);
    Oid key = InvalidOid;
    ListCell* cell;
    foreach (cell, RelationGetIndexList(relation)) {
        Relation index = index_open(lfirst_oid(cell), AccessShareLock);
        if (index->rd_index->indisunique && !index->rd_index->indisprimary) key = lfirst_oid(cell);
        index_close(index, NoLock);
    }
    table_close(relation, NoLock);
    return key;
}

}  // namespace

void record_dependencies(Oid table, Oid guard, Query* query) {
    ObjectAddress myself;
    ObjectAddressSet(myself, TriggerRelationId, guard);
    recordDependencyOnExpr(&myself, reinterpret_cast<Node*>(query), NIL, DEPENDENCY_NORMAL);
    const Oid key_index = find_key_index(table);
    if (!OidIsValid(key_index)) return;
    ObjectAddress key;
    ObjectAddressSet(key, RelationRelationId, key_index);
    recordDependencyOn(&myself, &key, DEPENDENCY_NORMAL);
}

void rebuild_dependencies() {
    const List* entries = tables_without_dependencies();
    ListCell* cell;
    foreach (cell, entries) {
        const Entry* entry = static_cast<const Entry*>(lfirst(cell));
        const int nest_level = apply_settings(entry->settings);
        record_dependencies(entry->relid, get_trigger_oid(entry->relid, kGuardTriggerName, false),
                            parse_query(entry->definition));
        AtEOXact_GUC(true, nest_level);
    }
}

}  // namespace anomaly::pg
