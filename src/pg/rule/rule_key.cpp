// Finds the keys of rules: PostgreSQL's planner puts the function in the place of its call, where
// it can, and what it says WHERE is looked through.
#include "pg/rule/rule_key.h"

#include "pg/rule/rule_query.h"
#include "pg/table/table_writer.h"

namespace anomaly::pg {

namespace {

// What the search knows while it goes down into subqueries.
struct Search {
    PlannerInfo* planner;
    Index changes;  // range table entries of the outermost query
    Index parameters;
    RuleKeys found;
};

Node* strip(Node* node) {
    while (IsA(node, RelabelType)) {
        node = reinterpret_cast<Node*>(castNode(RelabelType, node)->arg);
    }
    return node;
}

// The column of a relation of the outermost query, 0: it is none.
AttrNumber column_of(Node* node, Index relation, int depth) {
    if (!IsA(node, Var)) return 0;
    const Var* var = castNode(Var, node);
    const bool is_it = static_cast<Index>(var->varno) == relation &&
                       var->varlevelsup == static_cast<Index>(depth) && var->varattno > 0;
    return is_it ? var->varattno : 0;
}

// parameters ->> 'name'. NULL: it is something else.
const char* parameter_name(const Search* search, Node* node, int depth) {
    if (!IsA(node, OpExpr)) return NULL;
    const OpExpr* call = castNode(OpExpr, node);
    if (call->opfuncid != F_JSONB_OBJECT_FIELD_TEXT) return NULL;
    Node* name = static_cast<Node*>(lsecond(call->args));
    if (column_of(static_cast<Node*>(linitial(call->args)), search->parameters, depth) == 0 ||
        !IsA(name, Const) || castNode(Const, name)->constisnull) {
        return NULL;
    }
    return TextDatumGetCString(castNode(Const, name)->constvalue);
}

// Equal is what has the same bytes, or the same digits.
bool compares_texts(const OpExpr* equality) {
    return equality->opfuncid == F_TEXTEQ && OidIsValid(equality->inputcollid) &&
           get_collation_isdeterministic(equality->inputcollid);
}

bool compares_integers(const OpExpr* equality) {
    switch (equality->opfuncid) {
        case F_INT2EQ:
        case F_INT4EQ:
        case F_INT8EQ:
        case F_INT24EQ:
        case F_INT42EQ:
        case F_INT28EQ:
        case F_INT82EQ:
        case F_INT48EQ:
        case F_INT84EQ:
            return true;
        default:
            return false;
    }
}

void add_key(Search* search, Node* column, Node* parameter, const OpExpr* equality, int depth) {
    RuleKey key = {column_of(strip(column), search->changes, depth), TEXTOID, NULL};
    if (key.column == 0 || search->found.count == kMaxRuleKeys) return;
    parameter = strip(parameter);
    if (compares_integers(equality)) {
        if (!IsA(parameter, CoerceViaIO)) return;
        key.type = castNode(CoerceViaIO, parameter)->resulttype;
        parameter = reinterpret_cast<Node*>(castNode(CoerceViaIO, parameter)->arg);
    } else if (!compares_texts(equality)) {
        return;
    }
    key.name = parameter_name(search, parameter, depth);
    if (key.name != NULL) search->found.keys[search->found.count++] = key;
}

// A condition that must hold.
void look_at(Search* search, Node* condition, int depth) {
    if (condition == NULL) return;
    const List* parts = make_ands_implicit(
        reinterpret_cast<Expr*>(eval_const_expressions(search->planner, condition)));
    ListCell* cell;
    foreach (cell, parts) {
        Node* part = static_cast<Node*>(lfirst(cell));
        if (!IsA(part, OpExpr)) continue;
        const OpExpr* equality = castNode(OpExpr, part);
        if (list_length(equality->args) != 2) continue;
        Node* left = static_cast<Node*>(linitial(equality->args));
        Node* right = static_cast<Node*>(lsecond(equality->args));
        add_key(search, left, right, equality, depth);
        add_key(search, right, left, equality, depth);
    }
}

// CASE WHEN condition THEN ... END, which is NULL without it: what a function that returns text
// comes to.
void look_at_message(Search* search, const Query* query, int depth) {
    const TargetEntry* target = linitial_node(TargetEntry, query->targetList);
    Node* message = eval_const_expressions(search->planner, reinterpret_cast<Node*>(target->expr));
    if (!IsA(message, CaseExpr)) return;
    const CaseExpr* choice = castNode(CaseExpr, message);
    Node* otherwise = reinterpret_cast<Node*>(choice->defresult);
    if (choice->arg != NULL || list_length(choice->args) != 1 || !IsA(otherwise, Const) ||
        !castNode(Const, otherwise)->constisnull) {
        return;
    }
    look_at(search, reinterpret_cast<Node*>(linitial_node(CaseWhen, choice->args)->expr), depth);
}

// No row of its FROM and WHERE, no row of it.
bool is_empty_without_input(const Query* query) {
    const bool is_grouped = query->groupClause != NIL && query->groupingSets == NIL;
    return query->setOperations == NULL &&
           (is_grouped ||
            (!query->hasAggs && query->groupingSets == NIL && query->havingQual == NULL));
}

void look_through(Search* search, const Query* query, int depth);

void look_through_item(Search* search, const Query* query, Node* item, int depth) {
    if (IsA(item, RangeTblRef)) {
        const RangeTblEntry* entry = rt_fetch(castNode(RangeTblRef, item)->rtindex, query->rtable);
        if (entry->rtekind == RTE_SUBQUERY) look_through(search, entry->subquery, depth + 1);
    } else if (IsA(item, JoinExpr) && castNode(JoinExpr, item)->jointype == JOIN_INNER) {
        const JoinExpr* join = castNode(JoinExpr, item);
        look_through_item(search, query, join->larg, depth);
        look_through_item(search, query, join->rarg, depth);
        look_at(search, join->quals, depth);
    }
}

void look_through(Search* search, const Query* query, int depth) {
    check_stack_depth();
    if (!is_empty_without_input(query)) return;
    ListCell* cell;
    foreach (cell, query->jointree->fromlist) {
        look_through_item(search, query, static_cast<Node*>(lfirst(cell)), depth);
    }
    look_at(search, query->jointree->quals, depth);
}

Index find_relation(const Query* query, const char* name) {
    for (int i = 1; i <= list_length(query->rtable); i++) {
        const RangeTblEntry* entry = rt_fetch(i, query->rtable);
        if (entry->rtekind == RTE_NAMEDTUPLESTORE && strcmp(entry->enrname, name) == 0) {
            return static_cast<Index>(i);
        }
    }
    elog(ERROR, "a query of rules without %s", name);
}

}  // namespace

RuleKeys find_rule_keys(Query* outer) {
    // All that is shared is in the first subquery; around it is the order.
    Query* query = rt_fetch(1, outer->rtable)->subquery;
    Search search = {makeNode(PlannerInfo),
                     find_relation(query, kChangesName),
                     find_relation(query, kParametersName),
                     {}};
    search.planner->glob = makeNode(PlannerGlobal);
    search.planner->parse = query;
    search.planner->query_level = 1;
    search.planner->planner_cxt = CurrentMemoryContext;
    preprocess_function_rtes(search.planner);
    look_through(&search, query, 0);
    const RangeTblEntry* last = llast_node(RangeTblEntry, query->rtable);
    if (last->rtekind == RTE_SUBQUERY && list_length(last->subquery->targetList) == 1 &&
        last->subquery->jointree->fromlist == NIL) {
        look_at_message(&search, last->subquery, 1);
    }
    return search.found;
}

}  // namespace anomaly::pg
