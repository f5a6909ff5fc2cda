#include "pg/ddl/type_alter.h"

#include "pg/ddl/stored_definition.h"
#include "pg/server/catalog.h"
#include "pg/shared/wake.h"

namespace anomaly::pg {

namespace {

// ---- what holds values of a type ----

bool contains(Oid type, Oid label_type);

bool row_contains(Oid type, Oid label_type) {
    const TupleDesc row = lookup_rowtype_tupdesc(type, -1);
    bool found = false;
    for (int i = 0; i < row->natts && !found; i++) {
        const Form_pg_attribute column = TupleDescAttr(row, i);
        found = !column->attisdropped && contains(column->atttypid, label_type);
    }
    ReleaseTupleDesc(row);
    return found;
}

// Is it that type, or made of it?
bool contains(Oid type, Oid label_type) {
    check_stack_depth();
    type = getBaseType(type);
    if (type == label_type) return true;
    const Oid element = get_element_type(type);
    if (OidIsValid(element)) return contains(element, label_type);
    if (type_is_multirange(type)) return contains(get_multirange_range(type), label_type);
    if (type_is_range(type)) return contains(get_range_subtype(type), label_type);
    return get_typtype(type) == TYPTYPE_COMPOSITE && row_contains(type, label_type);
}

bool holds(const Node* expr, const Oid* label_type) {
    return contains(exprType(expr), *label_type);
}

// The state of a count holds no values.
bool state_holds(const Aggref* aggregate, const Oid* label_type) {
    if (aggregate->aggfnoid == F_COUNT_ANY && aggregate->aggdistinct == NIL) return false;
    if (holds(reinterpret_cast<const Node*>(aggregate), label_type)) return true;
    ListCell* cell;
    foreach (cell, aggregate->args) {
        const TargetEntry* entry = lfirst_node(TargetEntry, cell);
        if (holds(reinterpret_cast<const Node*>(entry->expr), label_type)) return true;
    }
    return false;
}

// What was computed from texts of labels would be another one now.
bool is_cast_of_text(const Node* node, const Oid* label_type) {
    if (!IsA(node, CoerceViaIO)) return false;
    return holds(node, label_type) ||
           holds(reinterpret_cast<Node*>(castNode(CoerceViaIO, node)->arg), label_type);
}

bool find_label(Node* node, void* opaque) {
    const Oid* label_type = static_cast<const Oid*>(opaque);
    if (node == NULL) return false;
    if (IsA(node, Query)) {
        return query_tree_walker(castNode(Query, node), find_label, opaque, 0);
    }
    if (IsA(node, Aggref) && state_holds(castNode(Aggref, node), label_type)) return true;
    if (is_cast_of_text(node, label_type)) return true;
    return expression_tree_walker(node, find_label, opaque);
}

bool knows_labels(Query* query, Oid label_type) {
    ListCell* cell;
    foreach (cell, query->groupClause) {
        const TargetEntry* entry =
            get_sortgroupclause_tle(lfirst_node(SortGroupClause, cell), query->targetList);
        if (holds(reinterpret_cast<const Node*>(entry->expr), &label_type)) return true;
    }
    return find_label(reinterpret_cast<Node*>(query), &label_type);
}

const char* append_name(const char* names, Oid table) {
    const char* name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(table)),
                                                  get_rel_name(table));
    return names == NULL ? name : psprintf("%s, %s", names, name);
}

// NULL: none.
const char* tables_that_know(Oid label_type) {
    const char* names = NULL;
    CatalogArgument after = argument_int8(0);
    for (;;) {
        const int64 next = catalog_select_int(
            "SELECT min(relid::oid::bigint) FROM anomaly.continuous_table "
            "WHERE relid::oid::bigint > $1",
            &after, 1, 0);
        if (next == 0) return names;
        const StoredDefinition* definition = read_stored_definition(static_cast<Oid>(next));
        if (definition != NULL && knows_labels(definition->query, label_type)) {
            names = append_name(names, definition->table);
        }
        after = argument_int8(next);
    }
}

void check_label_rename(const AlterEnumStmt* alter) {
    if (alter->oldVal == NULL) return;  // a label more
    const Oid type =
        LookupTypeNameOid(NULL, makeTypeNameFromNameList(const_cast<List*>(alter->typeName)), true);
    if (!OidIsValid(type) || !catalog_is_there()) return;
    const char* tables = tables_that_know(type);
    if (tables == NULL) return;
    ereport(ERROR,
            (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
             errmsg("cannot rename a value of type %s", format_type_be(type)),
             errdetail("Continuous tables depend on it: %s. Groups, states of aggregates and "
                       "casts to or from text know values by their labels.",
                       tables),
             errhint("Add a value, or drop them and make them anew afterwards.")));
}

// ---- row types ----

// The type of a relation's rows if there may be values of it outside of the relation: of most
// tables there are none. InvalidOid: no.
Oid used_row_type(const RangeVar* name) {
    const Oid relation = RangeVarGetRelid(name, NoLock, true);
    const Oid type = OidIsValid(relation) ? get_rel_type_id(relation) : InvalidOid;
    if (!OidIsValid(type) || !catalog_is_there()) return InvalidOid;
    const CatalogArgument arguments[] = {argument_oid(OIDOID, type),
                                         argument_oid(OIDOID, get_array_type(type))};
    const int64 uses = catalog_select_int(
        "SELECT count(*) FROM pg_catalog.pg_depend WHERE refobjid IN ($1, $2) "
        "AND refclassid = 'pg_catalog.pg_type'::regclass AND deptype = 'n'",
        arguments, lengthof(arguments), 0);
    return uses > 0 ? type : InvalidOid;
}

bool has_column_of(Oid stream, Oid type) {
    Relation relation = try_relation_open(stream, AccessShareLock);
    if (relation == NULL) return false;
    bool found = false;
    for (int i = 0; i < RelationGetDescr(relation)->natts && !found; i++) {
        const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(relation), i);
        found = !column->attisdropped && contains(column->atttypid, type);
    }
    relation_close(relation, NoLock);
    return found;
}

// The next stream after that one that continuous tables read and that has such a column.
Oid next_stream_of(Oid type, Oid after) {
    for (;;) {
        const CatalogArgument argument = argument_int8(after);
        after = static_cast<Oid>(
            catalog_select_int("SELECT min(stream::oid::bigint) FROM anomaly.stream "
                               "WHERE stream::oid::bigint > $1",
                               &argument, 1, InvalidOid));
        if (!OidIsValid(after) || has_column_of(after, type)) return after;
    }
}

bool changes_attributes(const AlterTableStmt* alter) {
    ListCell* cell;
    foreach (cell, alter->cmds) {
        const AlterTableType kind = lfirst_node(AlterTableCmd, cell)->subtype;
        if (kind == AT_AddColumn || kind == AT_DropColumn || kind == AT_AlterColumnType)
            return true;
    }
    return false;
}

void check_attributes(const AlterTableStmt* alter) {
    if (alter->relation == NULL || !changes_attributes(alter)) return;
    const Oid type = used_row_type(alter->relation);
    if (!OidIsValid(type)) return;
    const char* tables = tables_that_know(type);
    if (tables != NULL) {
        ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
                        errmsg("cannot change the attributes of type %s", format_type_be(type)),
                        errdetail("Continuous tables depend on it: %s. Groups and states of "
                                  "aggregates are stored with the attributes that it has.",
                                  tables),
                        errhint("Drop them and make them anew afterwards.")));
    }
    Oid stream = InvalidOid;
    while (OidIsValid(stream = next_stream_of(type, stream))) {
        // Loading waits for it, until the worker has heard of the change.
        LockDatabaseObject(ForeignServerRelationId, GetForeignServerIdByRelId(stream), 0,
                           AccessExclusiveLock);
        wake_stream_at_commit(stream);
    }
}

void check_attribute_rename(const RenameStmt* rename) {
    if (rename->renameType != OBJECT_ATTRIBUTE && rename->renameType != OBJECT_COLUMN) return;
    const Oid type = used_row_type(rename->relation);
    if (!OidIsValid(type)) return;
    const Oid stream = next_stream_of(type, InvalidOid);
    if (!OidIsValid(stream)) return;
    ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
                    errmsg("cannot rename an attribute of type %s", format_type_be(type)),
                    errdetail("Stream \"%s\" finds the field of its messages by that name.",
                              get_rel_name(stream)),
                    errhint("Make another type, and a foreign table that uses it.")));
}

}  // namespace

void check_type_alter(Node* statement) {
    switch (nodeTag(statement)) {
        case T_AlterEnumStmt:
            check_label_rename(castNode(AlterEnumStmt, statement));
            break;
        case T_AlterTableStmt:
            check_attributes(castNode(AlterTableStmt, statement));
            break;
        case T_RenameStmt:
            check_attribute_rename(castNode(RenameStmt, statement));
            break;
        default:
            break;
    }
}

}  // namespace anomaly::pg
