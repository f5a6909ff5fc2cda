// As the planner pulls up a simple sub-select, before there is a planner: its FROM and WHERE take
// its place, and its columns are replaced by what they stand for. A WITH query is a sub-select
// wherever it is named: nothing in it is volatile, so that it may be computed in any place.
#include "pg/query/pull_up.h"

namespace anomaly::pg {

namespace {

bool is_simple(const Query* query) {
    return query->commandType == CMD_SELECT && !query->hasAggs && !query->hasWindowFuncs &&
           !query->hasTargetSRFs && !query->hasSubLinks && query->cteList == NIL &&
           query->groupClause == NIL && query->groupingSets == NIL && query->havingQual == NULL &&
           query->distinctClause == NIL && query->sortClause == NIL && query->limitCount == NULL &&
           query->limitOffset == NULL && query->setOperations == NULL && query->rowMarks == NIL &&
           query->jointree->fromlist != NIL;
}

// Puts `replacement` where the FROM item refers to the range table entry. False: it does not. Under
// an outer join, which is refused anyway, it would not mean the same.
bool replace_reference(Node** item, int rtindex, Node* replacement) {
    if (IsA(*item, RangeTblRef)) {
        if (castNode(RangeTblRef, *item)->rtindex != rtindex) return false;
        *item = replacement;
        return true;
    }
    if (!IsA(*item, JoinExpr)) return false;
    JoinExpr* join = castNode(JoinExpr, *item);
    if (join->jointype != JOIN_INNER) return false;
    return replace_reference(&join->larg, rtindex, replacement) ||
           replace_reference(&join->rarg, rtindex, replacement);
}

bool replace_in_from(Query* query, int rtindex, Node* replacement) {
    ListCell* cell;
    foreach (cell, query->jointree->fromlist) {
        Node* item = static_cast<Node*>(lfirst(cell));
        if (!replace_reference(&item, rtindex, replacement)) continue;
        lfirst(cell) = item;
        return true;
    }
    return false;
}

// The items of a FROM list as one: a CROSS JOIN of them.
Node* cross_join(List* items) {
    Node* joined = static_cast<Node*>(linitial(items));
    for (int i = 1; i < list_length(items); i++) {
        JoinExpr* join = makeNode(JoinExpr);
        join->jointype = JOIN_INNER;
        join->larg = joined;
        join->rarg = static_cast<Node*>(list_nth(items, i));
        joined = reinterpret_cast<Node*>(join);
    }
    return joined;
}

void pull_up(Query* query, int rtindex) {
    RangeTblEntry* entry = rt_fetch(rtindex, query->rtable);
    Query* inner = entry->subquery;
    pull_up_subselects(inner);
    if (!is_simple(inner) || entry->security_barrier) return;
    OffsetVarNodes(reinterpret_cast<Node*>(inner), list_length(query->rtable), 0);
    if (!replace_in_from(query, rtindex, cross_join(inner->jointree->fromlist))) return;
    entry->rtekind = RTE_RESULT;  // nothing refers to it any more
    entry->subquery = NULL;
    replace_columns(query, rtindex, entry, inner->targetList);
    query->jointree->quals = make_and_qual(inner->jointree->quals, query->jointree->quals);
    query->rtable = list_concat(query->rtable, inner->rtable);
}

struct Inlining {
    const CommonTableExpr* with;
    Index depth;  // levels below the query that has it
};

void inline_here(RangeTblEntry* entry, const Inlining* inlining) {
    if (entry->rtekind != RTE_CTE || entry->ctelevelsup != inlining->depth ||
        strcmp(entry->ctename, inlining->with->ctename) != 0) {
        return;
    }
    Node* select = static_cast<Node*>(copyObjectImpl(inlining->with->ctequery));
    if (inlining->depth > 0) IncrementVarSublevelsUp(select, static_cast<int>(inlining->depth), 1);
    entry->rtekind = RTE_SUBQUERY;
    entry->subquery = castNode(Query, select);
}

bool inline_below(Node* node, void* opaque) {
    Inlining* inlining = static_cast<Inlining*>(opaque);
    if (node == NULL) return false;
    if (IsA(node, RangeTblEntry)) {
        inline_here(castNode(RangeTblEntry, node), inlining);
        return false;
    }
    if (!IsA(node, Query)) return expression_tree_walker(node, inline_below, opaque);
    inlining->depth++;
    query_tree_walker(castNode(Query, node), inline_below, opaque, QTW_EXAMINE_RTES_AFTER);
    inlining->depth--;
    return false;
}

bool can_be_inlined(const CommonTableExpr* with) {
    return !with->cterecursive && IsA(with->ctequery, Query) &&
           castNode(Query, with->ctequery)->commandType == CMD_SELECT;
}

// All of them, or none. One may name those before it.
void inline_with_queries(Query* query) {
    ListCell* cell;
    foreach (cell, query->cteList) {
        if (!can_be_inlined(lfirst_node(CommonTableExpr, cell))) return;
    }
    foreach (cell, query->cteList) {
        Inlining inlining = {lfirst_node(CommonTableExpr, cell), 0};
        query_tree_walker(query, inline_below, &inlining, QTW_EXAMINE_RTES_AFTER);
    }
    query->cteList = NIL;
}

}  // namespace

void pull_up_subselects(Query* query) {
    inline_with_queries(query);
    if (query->commandType != CMD_SELECT || query->setOperations != NULL) return;
    const int count = list_length(query->rtable);  // those that are pulled up bring others
    for (int rtindex = 1; rtindex <= count; rtindex++) {
        const RangeTblEntry* entry = rt_fetch(rtindex, query->rtable);
        if (entry->rtekind == RTE_SUBQUERY && entry->subquery != NULL) pull_up(query, rtindex);
    }
}

}  // namespace anomaly::pg
