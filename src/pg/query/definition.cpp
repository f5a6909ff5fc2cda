// Takes the SELECT of a continuous table apart. What is refused here could not be kept equal to its
// own query; each refusal says why and what to write instead.
#include "pg/query/definition.h"

#include "pg/compile/compile.h"
#include "pg/query/pull_up.h"
#include "pg/query/window_functions.h"
#include "pg/server/pinned_settings.h"
#include "pg/stream/stream.h"
#include "pg/value/zone_spec.h"

namespace anomaly::pg {

namespace {

struct Source {
    Index stream_varno;
    Oid stream;
    bool with_children;
    Index window_varno;  // 0: none
    FuncExpr* window;    // the call of tumble or hop
    WindowFunction function;
};

void refuse(bool present, const char* what, const char* hint) {
    if (present) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("a continuous table cannot have %s", what), errhint("%s", hint)));
    }
}

bool has_grouping(Node* node, void* opaque) {
    if (node == NULL) return false;
    if (IsA(node, GroupingFunc)) return true;
    return expression_tree_walker(node, has_grouping, opaque);
}

void check_clauses(const Query* query) {
    refuse(query->commandType != CMD_SELECT || query->utilityStmt != NULL, "anything but a SELECT",
           "Write CREATE TABLE ... WITH (anomaly.continuous) AS SELECT ...");
    refuse(query->cteList != NIL, "WITH queries that are recursive or change data",
           "Write a plain SELECT.");
    refuse(query->hasSubLinks, "sub-selects",
           "Join ordinary tables in a rule function or in a view over the continuous table.");
    refuse(query->hasWindowFuncs, "window functions",
           "Use them in a query or a view over the continuous table.");
    refuse(query->hasTargetSRFs, "set-returning functions in its select list",
           "Use them in a query or a view over the continuous table.");
    refuse(query->setOperations != NULL, "UNION, INTERSECT or EXCEPT",
           "Make one continuous table for each part and a view over them.");
    refuse(query->distinctClause != NIL, "DISTINCT", "Use GROUP BY.");
    refuse(query->sortClause != NIL, "ORDER BY", "Order the query that reads the table.");
    refuse(query->limitCount != NULL || query->limitOffset != NULL, "LIMIT or OFFSET",
           "Limit the query that reads the table.");
    refuse(query->groupingSets != NIL, "grouping sets",
           "Make one continuous table for each grouping.");
    refuse(has_grouping(reinterpret_cast<Node*>(query->targetList), NULL) ||
               has_grouping(query->havingQual, NULL),
           "GROUPING", "Without grouping sets it is 0.");
    refuse(query->rowMarks != NIL, "FOR UPDATE or FOR SHARE", "Leave it out.");
}

// Collects the FROM items; CROSS JOIN and JOIN ... ON true are flattened.
void collect_from(Node* node, List** references) {
    if (IsA(node, RangeTblRef)) {
        *references = lappend_int(*references, castNode(RangeTblRef, node)->rtindex);
        return;
    }
    if (IsA(node, JoinExpr)) {
        JoinExpr* join = castNode(JoinExpr, node);
        Node* condition = join->quals;
        const bool always = condition == NULL ||
                            (IsA(condition, Const) && !castNode(Const, condition)->constisnull &&
                             DatumGetBool(castNode(Const, condition)->constvalue));
        refuse(join->jointype != JOIN_INNER || !always, "joins with a condition",
               "Join ordinary tables in a rule function or in a view over the continuous table.");
        collect_from(join->larg, references);
        collect_from(join->rarg, references);
        return;
    }
    elog(ERROR, "unrecognized node type in FROM: %d", static_cast<int>(nodeTag(node)));
}

void take_relation(const RangeTblEntry* entry, int rtindex, Source* source) {
    if (entry->relkind != RELKIND_FOREIGN_TABLE || !is_stream(entry->relid)) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("a continuous table reads streams only, and \"%s\" is none",
                               get_rel_name(entry->relid)),
                        errdetail("A stream is a foreign table of the foreign-data wrapper "
                                  "anomaly_kafka."),
                        errhint("Join ordinary tables in a rule function or in a view over the "
                                "continuous table.")));
    }
    refuse(source->stream_varno != 0, "more than one stream",
           "Make one continuous table for each stream and a view that joins them.");
    source->stream_varno = static_cast<Index>(rtindex);
    source->stream = entry->relid;
    source->with_children = entry->inh;
}

void take_function(const RangeTblEntry* entry, int rtindex, Source* source) {
    RangeTblFunction* function = NULL;
    FuncExpr* call = NULL;
    if (list_length(entry->functions) == 1 && !entry->funcordinality) {
        function = linitial_node(RangeTblFunction, entry->functions);
        if (IsA(function->funcexpr, FuncExpr)) call = castNode(FuncExpr, function->funcexpr);
    }
    const WindowFunction which =
        call == NULL ? WindowFunction::kNone : window_function(call->funcid);
    refuse(which == WindowFunction::kNone, "functions in FROM but tumble and hop",
           "Use tumble(event_time, size) or hop(event_time, slide, size) to make windows.");
    refuse(source->window_varno != 0, "more than one tumble or hop",
           "Make one continuous table for each window size.");
    source->window_varno = static_cast<Index>(rtindex);
    source->window = call;
    source->function = which;
}

Source analyze_from(const Query* query) {
    List* references = NIL;
    ListCell* cell;
    foreach (cell, query->jointree->fromlist) {
        collect_from(static_cast<Node*>(lfirst(cell)), &references);
    }
    Source source = {};
    foreach (cell, references) {
        const int rtindex = lfirst_int(cell);
        RangeTblEntry* entry = rt_fetch(rtindex, query->rtable);
        if (entry->rtekind == RTE_RELATION) {
            refuse(entry->tablesample != NULL, "TABLESAMPLE", "Leave it out.");
            take_relation(entry, rtindex, &source);
        } else if (entry->rtekind == RTE_FUNCTION) {
            take_function(entry, rtindex, &source);
        } else {
            refuse(true, "a sub-select or view in FROM that does more than choose, name and filter",
                   "Make a continuous table of that SELECT.");
        }
    }
    refuse(source.stream_varno == 0, "no stream in FROM",
           "Select from a foreign table of the foreign-data wrapper anomaly_kafka.");
    return source;
}

// ---- group row ----

struct GroupContext {
    const Source* source;
    TableDefinition* definition;
};

int find_key(const TableDefinition* definition, const Node* node) {
    for (int k = 0; k < definition->key_count; k++) {
        if (equal(definition->keys[k], node)) return k;
    }
    return -1;
}

int find_aggregate(TableDefinition* definition, Aggref* aggregate) {
    for (int a = 0; a < definition->aggregate_count; a++) {
        if (equal(definition->aggregates[a], aggregate)) return a;
    }
    return -1;
}

bool is_window_column(Node* node, const Source* source) {
    return IsA(node, Var) && castNode(Var, node)->varno == static_cast<int>(source->window_varno);
}

bool has_window_column(Node* node, void* opaque) {
    if (node == NULL) return false;
    if (is_window_column(node, static_cast<const Source*>(opaque))) return true;
    return expression_tree_walker(node, has_window_column, opaque);
}

// What is computed for each message knows no windows: it may be in several.
void check_window_columns(const TableDefinition* definition, const Query* query, Source* source) {
    refuse(has_window_column(query->jointree->quals, source), "columns of the window in WHERE",
           "Write the condition in HAVING.");
    for (int k = 0; k < definition->key_count; k++) {
        refuse(has_window_column(reinterpret_cast<Node*>(definition->keys[k]), source),
               "expressions over columns of the window in GROUP BY",
               "Group by window_start, window_end themselves; the select list may compute with "
               "them.");
    }
    for (int a = 0; a < definition->aggregate_count; a++) {
        const Aggref* aggregate = definition->aggregates[a];
        refuse(has_window_column(reinterpret_cast<Node*>(aggregate->args), source) ||
                   has_window_column(reinterpret_cast<Node*>(aggregate->aggfilter), source),
               "columns of the window within an aggregate",
               "Compute with them outside of it, in the select list or in HAVING.");
    }
}

Node* group_row_var(const GroupContext* context, int attribute) {
    const Form_pg_attribute form = TupleDescAttr(context->definition->group_row, attribute - 1);
    return reinterpret_cast<Node*>(makeVar(1, static_cast<AttrNumber>(attribute), form->atttypid,
                                           form->atttypmod, form->attcollation, 0));
}

// Replaces keys, window columns and aggregates by columns of the group row.
Node* to_group_row(Node* node, void* opaque) {
    GroupContext* context = static_cast<GroupContext*>(opaque);
    if (node == NULL) return NULL;
    if (is_window_column(node, context->source)) {
        const int column = castNode(Var, node)->varattno;
        return group_row_var(context, window_start_attribute(context->definition) + column - 1);
    }
    const int key = find_key(context->definition, node);
    if (key >= 0) return group_row_var(context, key_attribute(key));
    if (IsA(node, Aggref)) {
        const int a = find_aggregate(context->definition, castNode(Aggref, node));
        return group_row_var(context, aggregate_attribute(context->definition, a));
    }
    return expression_tree_mutator(node, to_group_row, opaque);
}

bool collect_aggregates(Node* node, void* opaque) {
    TableDefinition* definition = static_cast<TableDefinition*>(opaque);
    if (node == NULL) return false;
    if (IsA(node, Aggref)) {
        Aggref* aggregate = castNode(Aggref, node);
        if (find_aggregate(definition, aggregate) < 0) {
            definition->aggregates[definition->aggregate_count++] = aggregate;
        }
        return false;
    }
    return expression_tree_walker(node, collect_aggregates, opaque);
}

bool count_aggregates(Node* node, void* opaque) {
    if (node == NULL) return false;
    if (IsA(node, Aggref)) (*static_cast<int*>(opaque))++;
    return expression_tree_walker(node, count_aggregates, opaque);
}

void find_aggregates(TableDefinition* definition, const Query* query) {
    int count = 0;
    count_aggregates(reinterpret_cast<Node*>(query->targetList), &count);
    count_aggregates(query->havingQual, &count);
    definition->aggregates =
        static_cast<Aggref**>(palloc0(sizeof(Aggref*) * static_cast<Size>(count + 1)));
    collect_aggregates(reinterpret_cast<Node*>(query->targetList), definition);
    collect_aggregates(query->havingQual, definition);
}

void find_keys(TableDefinition* definition, const Query* query, const Source* source) {
    definition->keys = static_cast<Expr**>(
        palloc0(sizeof(Expr*) * static_cast<Size>(list_length(query->groupClause) + 1)));
    bool window_grouped = false;
    ListCell* cell;
    foreach (cell, query->groupClause) {
        SortGroupClause* clause = lfirst_node(SortGroupClause, cell);
        TargetEntry* entry = get_sortgroupclause_tle(clause, query->targetList);
        refuse(entry->resjunk, "a GROUP BY expression that is not in its select list",
               "Select it too: the group columns are the table's key.");
        if (is_window_column(reinterpret_cast<Node*>(entry->expr), source)) {
            window_grouped = true;
        } else if (find_key(definition, reinterpret_cast<Node*>(entry->expr)) < 0) {
            definition->keys[definition->key_count++] = entry->expr;
        }
    }
    refuse(source->window_varno != 0 && !window_grouped, "windows without grouping by them",
           "Add window_start, window_end to GROUP BY and to the select list.");
}

TupleDesc make_group_row(const TableDefinition* definition) {
    const bool windowed = definition->kind == TableKind::kWindowed;
    const int count = definition->key_count + (windowed ? 2 : 0) + definition->aggregate_count;
    TupleDesc row = CreateTemplateTupleDesc(count);
    int attribute = 0;
    auto add = [row, &attribute](Oid type, int32 typmod, Oid collation) {
        attribute++;
        TupleDescInitEntry(row, static_cast<AttrNumber>(attribute), NULL, type, typmod, 0);
        TupleDescInitEntryCollation(row, static_cast<AttrNumber>(attribute), collation);
    };
    for (int k = 0; k < definition->key_count; k++) {
        const Node* key = reinterpret_cast<const Node*>(definition->keys[k]);
        add(exprType(key), exprTypmod(key), exprCollation(key));
    }
    if (windowed) {
        add(TIMESTAMPTZOID, -1, InvalidOid);
        add(TIMESTAMPTZOID, -1, InvalidOid);
    }
    for (int a = 0; a < definition->aggregate_count; a++) {
        const Aggref* aggregate = definition->aggregates[a];
        add(aggregate->aggtype, -1, aggregate->aggcollid);
    }
    return row;
}

void plan_aggregates(TableDefinition* definition, const Source* source) {
    definition->aggregate_plans = static_cast<AggregatePlan*>(
        palloc0(sizeof(AggregatePlan) * static_cast<Size>(definition->aggregate_count + 1)));
    GroupContext context = {source, definition};
    for (int a = 0; a < definition->aggregate_count; a++) {
        AggregatePlan* plan = &definition->aggregate_plans[a];
        *plan = plan_aggregate(definition->aggregates[a], definition->kind);
        plan->direct = castNode(
            List, to_group_row(reinterpret_cast<Node*>(definition->aggregates[a]->aggdirectargs),
                               &context));
    }
}

// ---- outputs ----

bool is_not_null_column(const TableDefinition* definition, const Expr* expr) {
    if (!IsA(expr, Var)) return false;
    const Var* var = reinterpret_cast<const Var*>(expr);
    if (var->varno != static_cast<int>(definition->stream_varno) || var->varattno <= 0)
        return false;
    Relation stream = table_open(definition->stream, AccessShareLock);
    const bool result = TupleDescAttr(RelationGetDescr(stream), var->varattno - 1)->attnotnull;
    table_close(stream, NoLock);
    return result;
}

void add_output(TableDefinition* definition, TargetEntry* entry, const Source* source) {
    OutputColumn* output = &definition->outputs[definition->output_count++];
    Node* expr = reinterpret_cast<Node*>(entry->expr);
    output->name = entry->resname;
    output->type = exprType(expr);
    output->typmod = exprTypmod(expr);
    output->collation = exprCollation(expr);
    output->expr = entry->expr;
    if (definition->kind == TableKind::kFilter) return;
    output->is_group_column = entry->ressortgroupref != 0;
    output->nullable =
        !is_window_column(expr, source) && !is_not_null_column(definition, entry->expr);
    GroupContext context = {source, definition};
    output->expr = reinterpret_cast<Expr*>(to_group_row(expr, &context));
    if (IsA(output->expr, Var)) {
        output->group_attribute = reinterpret_cast<Var*>(output->expr)->varattno;
    }
}

void find_outputs(TableDefinition* definition, const Query* query, const Source* source) {
    definition->outputs = static_cast<OutputColumn*>(
        palloc0(sizeof(OutputColumn) * static_cast<Size>(list_length(query->targetList) + 1)));
    ListCell* cell;
    foreach (cell, query->targetList) {
        TargetEntry* entry = lfirst_node(TargetEntry, cell);
        if (!entry->resjunk) add_output(definition, entry, source);
    }
    refuse(definition->output_count == 0, "no columns", "Name at least one column.");
}

// ---- the window ----

const Interval* constant_interval(const Node* node) {
    Node* folded = eval_const_expressions(NULL, const_cast<Node*>(node));
    const bool constant = IsA(folded, Const) && !castNode(Const, folded)->constisnull;
    refuse(!constant, "a window whose size depends on the row",
           "Write the interval as a constant.");
    return DatumGetIntervalP(castNode(Const, folded)->constvalue);
}

void find_window(TableDefinition* definition, const Source* source) {
    const List* args = source->window->args;
    const Node* time = static_cast<Node*>(linitial(args));
    if (!is_event_time_column(definition->stream, definition->stream_varno, time)) {
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("the first argument of %s over a stream must be its event time",
                               get_func_name(source->window->funcid)),
                        errhint("Set the option event_time of foreign table \"%s\", and give that "
                                "column to it.",
                                get_rel_name(definition->stream))));
    }
    int next = 1;
    const Interval* slide = constant_interval(static_cast<Node*>(list_nth(args, next++)));
    const Interval* size = source->function == WindowFunction::kTumble
                               ? slide
                               : constant_interval(static_cast<Node*>(list_nth(args, next++)));
    const Interval zero = {};
    const bool has_offset = next < list_length(args);
    const Interval* offset =
        has_offset ? constant_interval(static_cast<Node*>(list_nth(args, next))) : &zero;
    definition->window = make_window_spec(slide, size, offset);
    if (definition->window.unit != WindowUnit::kMicroseconds) {
        definition->window.zone = zone_spec(session_timezone);
    }
}

void check_expressions(const Query* query) {
    check_maintainable(reinterpret_cast<Node*>(query->targetList));
    check_maintainable(query->jointree->quals);
    check_maintainable(query->havingQual);
}

bool has_parameters(Node* node, void* opaque) {
    if (node == NULL) return false;
    if (IsA(node, Param)) return true;
    return expression_tree_walker(node, has_parameters, opaque);
}

}  // namespace

TableDefinition* analyze_definition(Query* query) {
    Query* original = static_cast<Query*>(copyObjectImpl(query));
    flatten_group_entries(query);
    pull_up_subselects(query);
    check_clauses(query);
    refuse(query_tree_walker(query, has_parameters, NULL, 0), "parameters",
           "Write the values as constants.");
    Source source = analyze_from(query);
    check_expressions(query);
    TableDefinition* definition = static_cast<TableDefinition*>(palloc0(sizeof(TableDefinition)));
    definition->query = original;
    definition->stream = source.stream;
    definition->stream_varno = source.stream_varno;
    definition->with_children = source.with_children;
    definition->where = reinterpret_cast<Expr*>(query->jointree->quals);
    const bool grouped = query->groupClause != NIL || query->hasAggs || query->havingQual != NULL;
    definition->kind = !grouped                   ? TableKind::kFilter
                       : source.window_varno != 0 ? TableKind::kWindowed
                                                  : TableKind::kRunningTotal;
    if (grouped) {
        find_aggregates(definition, query);
        find_keys(definition, query, &source);
        check_window_columns(definition, query, &source);
        definition->group_row = make_group_row(definition);
        plan_aggregates(definition, &source);
    }
    refuse(!grouped && source.window_varno != 0, "windows without GROUP BY",
           "Add window_start, window_end to GROUP BY, or leave tumble or hop out.");
    if (definition->kind == TableKind::kWindowed) find_window(definition, &source);
    find_outputs(definition, query, &source);
    if (grouped && query->havingQual != NULL) {
        GroupContext context = {&source, definition};
        definition->having = reinterpret_cast<Expr*>(to_group_row(query->havingQual, &context));
    }
    return definition;
}

Query* parse_query(const char* text) {
    const int nest_level = apply_sql_reading_settings();
    List* statements = pg_parse_query(text);
    AtEOXact_GUC(true, nest_level);
    RawStmt* statement = linitial_node(RawStmt, statements);
    return parse_analyze_fixedparams(statement, text, NULL, 0, NULL);
}

TableDefinition* parse_definition(const char* text) {
    return analyze_definition(parse_query(text));
}

}  // namespace anomaly::pg
