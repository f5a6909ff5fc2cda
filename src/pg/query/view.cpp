// As the rewriter expands views, with its rules about whose rights count.
#include "pg/query/view.h"

#include "pg/query/read_rights.h"

namespace anomaly::pg {

namespace {

struct Expansion {
    List* path;   // the views that the query at hand is in, the outermost first
    List* taken;  // those of the last relation that was found
};

void check_may_read(const Query* query, const RangeTblEntry* entry, Oid reader) {
    if (may_read(query, entry, reader)) return;
    aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(get_rel_relkind(entry->relid)),
                   get_rel_name(entry->relid));
}

// Is the row of the range table entry used as one value, in the query itself?
bool uses_whole_row(Node* node, void* opaque) {
    if (node == NULL || IsA(node, Query)) return false;
    if (!IsA(node, Var)) return expression_tree_walker(node, uses_whole_row, opaque);
    const Var* var = castNode(Var, node);
    return var->varno == *static_cast<int*>(opaque) && var->varattno == 0 && var->varlevelsup == 0;
}

// Its type would be the view's.
void check_columns_are_named(Query* query, int rtindex) {
    if (!query_tree_walker(query, uses_whole_row, &rtindex, 0)) return;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("a continuous table cannot use the whole row of a view"),
                    errhint("Name the columns.")));
}

// The view's SELECT, under the names that its columns have.
Query* take_select(const Relation view) {
    if (RelationIsSecurityView(view)) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("a continuous table cannot read view \"%s\", which is a "
                               "security_barrier",
                               RelationGetRelationName(view)),
                        errhint("Make a continuous table of the view's SELECT, and the view over "
                                "that table.")));
    }
    Query* query = static_cast<Query*>(copyObjectImpl(get_view_query(view)));
    AcquireRewriteLocks(query, true, false);
    ListCell* cell;
    foreach (cell, query->targetList) {
        TargetEntry* target = lfirst_node(TargetEntry, cell);
        if (target->resjunk) continue;
        const Form_pg_attribute column = TupleDescAttr(RelationGetDescr(view), target->resno - 1);
        target->resname = pstrdup(NameStr(column->attname));
    }
    return query;
}

bool expand(Query* query, Oid reader, Expansion* expansion);

void expand_view(RangeTblEntry* entry, Oid reader, Expansion* expansion) {
    Relation view = table_open(entry->relid, NoLock);  // the parser has locked it
    Query* query = take_select(view);
    if (!RelationHasSecurityInvoker(view)) reader = view->rd_rel->relowner;
    if (entry->alias == NULL) entry->alias = makeAlias(RelationGetRelationName(view), NIL);
    table_close(view, NoLock);
    expansion->path = lappend_oid(expansion->path, entry->relid);
    expand(query, reader, expansion);
    expansion->path = list_delete_last(expansion->path);
    entry->rtekind = RTE_SUBQUERY;
    entry->subquery = query;
    entry->relid = InvalidOid;
    entry->relkind = '\0';
    entry->rellockmode = NoLock;
    entry->inh = false;
}

bool expand(Query* query, Oid reader, Expansion* expansion) {
    check_stack_depth();
    bool any = false;
    ListCell* cell;
    foreach (cell, query->cteList) {
        Node* select = lfirst_node(CommonTableExpr, cell)->ctequery;
        if (IsA(select, Query)) any = expand(castNode(Query, select), reader, expansion) || any;
    }
    foreach (cell, query->rtable) {
        RangeTblEntry* entry = lfirst_node(RangeTblEntry, cell);
        if (!entry->inFromCl) continue;  // NEW and OLD of a view before 16
        if (entry->rtekind == RTE_SUBQUERY) {
            any = expand(entry->subquery, reader, expansion) || any;
        } else if (entry->rtekind == RTE_RELATION) {
            check_may_read(query, entry, reader);
            if (entry->relkind != RELKIND_VIEW) {
                expansion->taken = list_copy(expansion->path);
                continue;
            }
            check_columns_are_named(query, foreach_current_index(cell) + 1);
            expand_view(entry, reader, expansion);
            any = true;
        }
    }
    return any;
}

}  // namespace

bool expand_views(Query* query, List** through) {
    Expansion expansion = {NIL, NIL};
    const bool any = expand(query, GetUserId(), &expansion);
    *through = expansion.taken;
    return any;
}

}  // namespace anomaly::pg
