#include "pg/ddl/definition_names.h"

#include "pg/ddl/continuous_create.h"
#include "pg/ddl/stored_definition.h"
#include "pg/server/catalog.h"
#include "pg/server/pinned_settings.h"

namespace anomaly::pg {

namespace {

// What is renamed or moved.
struct Subject {
    bool everything;  // a schema or an extension: any definition may name it
    ObjectAddress object;
    Oid type;  // of the object, or its rows; InvalidOid: none
};

// ---- what a statement renames ----

Subject relation_subject(const RangeVar* name) {
    Subject subject = {};
    const Oid relation = RangeVarGetRelid(name, NoLock, true);
    ObjectAddressSet(subject.object, RelationRelationId, relation);
    subject.type = OidIsValid(relation) ? get_rel_type_id(relation) : InvalidOid;
    return subject;
}

Subject type_subject(const List* name) {
    Subject subject = {};
    const TypeName* type = makeTypeNameFromNameList(const_cast<List*>(name));
    subject.type = LookupTypeNameOid(NULL, type, true);
    ObjectAddressSet(subject.object, TypeRelationId, subject.type);
    return subject;
}

Subject object_subject(ObjectType type, Node* name) {
    Subject subject = {};
    Relation relation = NULL;
    subject.object = get_object_address(type, name, &relation, AccessExclusiveLock, true);
    return subject;
}

Subject subject_of(ObjectType type, const RangeVar* relation, Node* name) {
    switch (type) {
        case OBJECT_SCHEMA:
        case OBJECT_EXTENSION: {
            Subject subject = {};
            subject.everything = true;
            return subject;
        }
        case OBJECT_TABLE:
        case OBJECT_FOREIGN_TABLE:
        case OBJECT_COLUMN:
        case OBJECT_ATTRIBUTE:
            return relation_subject(relation);
        case OBJECT_AGGREGATE:
        case OBJECT_COLLATION:
        case OBJECT_FUNCTION:
        case OBJECT_OPERATOR:
        case OBJECT_ROUTINE:
        case OBJECT_TSCONFIGURATION:
        case OBJECT_TSDICTIONARY:
            return object_subject(type, name);
        case OBJECT_DOMAIN:
        case OBJECT_TYPE:
            return type_subject(castNode(List, name));
        default:
            return {};
    }
}

Subject subject_of(Node* statement) {
    switch (nodeTag(statement)) {
        case T_RenameStmt: {
            const RenameStmt* rename = castNode(RenameStmt, statement);
            return subject_of(rename->renameType, rename->relation, rename->object);
        }
        case T_AlterObjectSchemaStmt: {
            const AlterObjectSchemaStmt* move = castNode(AlterObjectSchemaStmt, statement);
            return subject_of(move->objectType, move->relation, move->object);
        }
        case T_AlterEnumStmt: {
            const AlterEnumStmt* alter = castNode(AlterEnumStmt, statement);
            if (alter->oldVal == NULL) return {};  // a label more
            return type_subject(alter->typeName);
        }
        default:
            return {};
    }
}

// ---- whose definition that is ----

// The next table after that one, 0: there is none. A guard depends on what its table's definition
// uses; of types, on arrays of them as well.
int64 next_table(const Subject* subject, int64 after) {
    const Oid array = OidIsValid(subject->type) ? get_array_type(subject->type) : InvalidOid;
    const CatalogArgument arguments[] = {argument_bool(subject->everything),
                                         argument_oid(OIDOID, subject->object.classId),
                                         argument_oid(OIDOID, subject->object.objectId),
                                         argument_oid(OIDOID, subject->type),
                                         argument_oid(OIDOID, array),
                                         argument_int8(after)};
    return catalog_select_int(
        "SELECT min(c.relid::oid::bigint) FROM anomaly.continuous_table c "
        "JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.relid AND t.tgname = 'anomaly_guard' "
        "WHERE c.relid::oid::bigint > $6 AND ($1 OR EXISTS (SELECT FROM pg_catalog.pg_depend d "
        "WHERE d.classid = 'pg_catalog.pg_trigger'::regclass AND d.objid = t.oid "
        "AND d.deptype = 'n' AND (d.refclassid = $2 AND d.refobjid = $3 "
        "OR d.refclassid = 'pg_catalog.pg_type'::regclass AND d.refobjid IN ($4, $5))))",
        arguments, lengthof(arguments), 0);
}

}  // namespace

List* definitions_renamed_by(Node* statement) {
    const Subject subject = subject_of(statement);
    List* definitions = NIL;
    if (!subject.everything && !OidIsValid(subject.object.objectId)) return NIL;
    if (!catalog_is_there()) return NIL;
    for (int64 table = 0; (table = next_table(&subject, table)) != 0;) {
        StoredDefinition* definition = read_stored_definition(static_cast<Oid>(table));
        if (definition != NULL) definitions = lappend(definitions, definition);
    }
    return definitions;
}

void store_renamed_definitions(const List* definitions) {
    if (definitions == NIL) return;
    CommandCounterIncrement();
    ListCell* cell;
    foreach (cell, definitions) {
        const StoredDefinition* definition = static_cast<const StoredDefinition*>(lfirst(cell));
        const int nest_level = apply_settings(definition->settings);
        const char* text = qualified_text(definition->query);
        AtEOXact_GUC(true, nest_level);
        if (strcmp(text, definition->text) == 0) continue;
        const CatalogArgument arguments[] = {argument_oid(REGCLASSOID, definition->table),
                                             argument_text(text)};
        catalog_execute("UPDATE anomaly.continuous_table SET definition = $2 WHERE relid = $1",
                        arguments, lengthof(arguments), SPI_OK_UPDATE);
    }
}

}  // namespace anomaly::pg
