#include "pg/query/read_rights.h"

#include "pg/server/catalog.h"

namespace anomaly::pg {

namespace {

bool may_read_column(Oid relation, AttrNumber column, Oid reader) {
    if (column == InvalidAttrNumber) {  // the whole row
        return pg_attribute_aclcheck_all(relation, reader, ACL_SELECT, ACLMASK_ALL) == ACLCHECK_OK;
    }
    return pg_attribute_aclcheck(relation, column, reader, ACL_SELECT) == ACLCHECK_OK;
}

bool may_read_any_column(Oid relation, Oid reader) {
    return pg_class_aclcheck(relation, reader, ACL_SELECT) == ACLCHECK_OK ||
           pg_attribute_aclcheck_all(relation, reader, ACL_SELECT, ACLMASK_ANY) == ACLCHECK_OK;
}

// Without a lock on it: who is changing the view would be waited for.
bool reads_as_caller(Oid view) {
    const HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(view));
    if (!HeapTupleIsValid(tuple)) return false;
    bool is_null = false;
    const Datum options = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &is_null);
    bool result = false;
    if (!is_null) {
        const ViewOptions* parsed =
            reinterpret_cast<const ViewOptions*>(view_reloptions(options, false));
        result = parsed != NULL && parsed->security_invoker;
    }
    ReleaseSysCache(tuple);
    return result;
}

const char* describe(Oid relation, Oid reader) {
    const bool is_view = get_rel_relkind(relation) == RELKIND_VIEW;
    return psprintf(
        "permission denied for %s %s: grant SELECT on it to role \"%s\", as whom it is "
        "read",
        is_view ? "view" : "foreign table", get_rel_name(relation),
        GetUserNameFromId(reader, true));
}

struct Search {
    Oid reader;
    Oid denied;  // InvalidOid: nothing
};

bool find_denied(Node* node, void* opaque) {
    if (node == NULL) return false;
    if (!IsA(node, Query)) return expression_tree_walker(node, find_denied, opaque);
    Search* search = static_cast<Search*>(opaque);
    Query* query = castNode(Query, node);
    ListCell* cell;
    foreach (cell, query->rtable) {
        const RangeTblEntry* entry = lfirst_node(RangeTblEntry, cell);
        if (entry->rtekind != RTE_RELATION || may_read(query, entry, search->reader)) continue;
        search->denied = entry->relid;
        return true;
    }
    return query_tree_walker(query, find_denied, opaque, 0);
}

uint64 generation = 1;

void on_relation_change(Datum, Oid) {
    generation++;
}

void on_role_change(Datum, int, uint32) {
    generation++;
}

}  // namespace

bool may_read(const Query* query, const RangeTblEntry* entry, Oid reader) {
    if (pg_class_aclcheck(entry->relid, reader, ACL_SELECT) == ACLCHECK_OK) return true;
    const Bitmapset* columns = selected_columns(query, entry);
    if (bms_is_empty(columns)) return may_read_any_column(entry->relid, reader);
    int member = -1;
    while ((member = bms_next_member(columns, member)) >= 0) {
        const int number = member + FirstLowInvalidHeapAttributeNumber;
        if (!may_read_column(entry->relid, static_cast<AttrNumber>(number), reader)) return false;
    }
    return true;
}

const char* missing_read_right(Query* definition, Oid owner, const List* views) {
    Oid reader = owner;
    ListCell* cell;
    foreach (cell, views) {
        const Oid view = lfirst_oid(cell);
        if (get_rel_relkind(view) != RELKIND_VIEW) return NULL;
        if (!may_read_any_column(view, reader)) return describe(view, reader);
        if (!reads_as_caller(view)) reader = relation_owner(view);
    }
    Search search = {reader, InvalidOid};
    find_denied(reinterpret_cast<Node*>(definition), &search);
    return OidIsValid(search.denied) ? describe(search.denied, reader) : NULL;
}

uint64 rights_generation() {
    static bool is_watching = false;
    if (!is_watching) {
        CacheRegisterRelcacheCallback(on_relation_change, Datum{0});
        CacheRegisterSyscacheCallback(AUTHOID, on_role_change, Datum{0});
        CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, on_role_change, Datum{0});
        is_watching = true;
    }
    return generation;
}

}  // namespace anomaly::pg
