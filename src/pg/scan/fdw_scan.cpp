// The broker is asked when the first row is wanted, not before: EXPLAIN and a scan that is never
// run cost nothing.
#include "pg/scan/fdw_scan.h"

#include "pg/scan/peek.h"
#include "pg/stream/options.h"

namespace anomaly::pg {

namespace {

struct Scan {
    MemoryContext context;
    const StreamDefinition* stream;
    int condition_count;
    ScanCondition* conditions;  // that say where to read
    ExprState** values;         // of each
    ScanBounds bounds;          // of the last start
    Peek* peek;                 // NULL: no row was wanted yet
    bool starts_anew;           // a rescan, whose first row was not wanted yet
};

const bool* used_columns(const ForeignScanState* node) {
    const ForeignScan* plan = reinterpret_cast<const ForeignScan*>(node->ss.ps.plan);
    if (plan->fdw_private == NIL) return NULL;
    const int count = RelationGetDescr(node->ss.ss_currentRelation)->natts;
    bool* used = static_cast<bool*>(palloc0(sizeof(bool) * static_cast<Size>(count + 1)));
    ListCell* cell;
    foreach (cell, plan->fdw_private) {
        if (lfirst_int(cell) > 0) used[lfirst_int(cell) - 1] = true;
    }
    return used;
}

void prepare_conditions(ForeignScanState* node, Scan* scan) {
    const ForeignScan* plan = reinterpret_cast<const ForeignScan*>(node->ss.ps.plan);
    const Size count = static_cast<Size>(list_length(plan->fdw_exprs)) + 1;
    scan->conditions = static_cast<ScanCondition*>(palloc0(sizeof(ScanCondition) * count));
    scan->values = static_cast<ExprState**>(palloc0(sizeof(ExprState*) * count));
    ListCell* cell;
    foreach (cell, plan->fdw_exprs) {
        ScanCondition* condition = &scan->conditions[scan->condition_count];
        if (!match_scan_condition(NULL, scan->stream->relation, plan->scan.scanrelid,
                                  static_cast<Expr*>(lfirst(cell)), condition)) {
            continue;
        }
        scan->values[scan->condition_count++] = ExecInitExpr(condition->value, &node->ss.ps);
    }
}

void begin_scan(ForeignScanState* node, int flags) {
    if ((flags & EXEC_FLAG_EXPLAIN_ONLY) != 0) return;
    Scan* scan = static_cast<Scan*>(palloc0(sizeof(Scan)));
    scan->context = CurrentMemoryContext;
    scan->stream = load_stream(RelationGetRelid(node->ss.ss_currentRelation), used_columns(node));
    prepare_conditions(node, scan);
    node->fdw_state = scan;
}

// Parameters may have other values at each rescan. Sets of partitions stay in the scan's memory.
ScanBounds evaluate_bounds(ForeignScanState* node, const Scan* scan) {
    const MemoryContext caller = MemoryContextSwitchTo(scan->context);
    ScanBounds bounds = unbounded_scan();
    for (int i = 0; i < scan->condition_count; i++) {
        bool is_null = false;
        const Datum value =
            ExecEvalExprSwitchContext(scan->values[i], node->ss.ps.ps_ExprContext, &is_null);
        narrow_scan(&bounds, &scan->conditions[i], value, is_null);
    }
    MemoryContextSwitchTo(caller);
    return bounds;
}

void start(ForeignScanState* node, Scan* scan) {
    scan->bounds = evaluate_bounds(node, scan);
    const MemoryContext caller = MemoryContextSwitchTo(scan->context);
    if (scan->peek == NULL) {
        scan->peek = peek_open(scan->stream, &scan->bounds);
    } else {
        peek_restart(scan->peek, &scan->bounds);
    }
    MemoryContextSwitchTo(caller);
    scan->starts_anew = false;
}

TupleTableSlot* iterate_scan(ForeignScanState* node) {
    Scan* scan = static_cast<Scan*>(node->fdw_state);
    TupleTableSlot* slot = node->ss.ss_ScanTupleSlot;
    ExecClearTuple(slot);
    if (scan->peek == NULL || scan->starts_anew) start(node, scan);
    if (peek_next(scan->peek, slot->tts_values, slot->tts_isnull)) ExecStoreVirtualTuple(slot);
    return slot;
}

void rescan(ForeignScanState* node) {
    Scan* scan = static_cast<Scan*>(node->fdw_state);
    scan->starts_anew = scan->peek != NULL;
}

void end_scan(ForeignScanState* node) {
    Scan* scan = static_cast<Scan*>(node->fdw_state);
    if (scan == NULL || scan->peek == NULL) return;
    peek_close(scan->peek);
    const int64 bad = peek_bad_count(scan->peek);
    scan->peek = NULL;
    if (bad > 0) {
        ereport(WARNING,
                (errmsg_plural("skipped " INT64_FORMAT " message of stream %s that is bad for it",
                               "skipped " INT64_FORMAT " messages of stream %s that are bad for it",
                               static_cast<unsigned long>(bad), bad, scan->stream->name),
                 errhint("Messages that a continuous table could not take, and why, are in "
                         "anomaly.dead_letter.")));
    }
}

// ---- EXPLAIN ----

void explain_conditions(const ForeignScan* plan, ExplainState* explain) {
    if (plan->fdw_exprs == NIL) return;
    List* context =
        set_deparse_context_plan(explain->deparse_cxt, const_cast<Plan*>(&plan->scan.plan), NIL);
    Node* all = reinterpret_cast<Node*>(make_ands_explicit(plan->fdw_exprs));
    const bool prefix = list_length(explain->rtable) > 1 || explain->verbose;
    ExplainPropertyText("Reads Where", deparse_expression(all, context, prefix, false), explain);
}

// What was read in fact; a long list of partitions is cut.
void explain_ranges(const Peek* peek, ExplainState* explain) {
    constexpr int kShownMax = 16;
    int count = 0;
    const PeekRange* ranges = peek_ranges(peek, &count);
    StringInfoData text;
    initStringInfo(&text);
    for (int r = 0; r < Min(count, kShownMax); r++) {
        appendStringInfo(&text, "%s%d: " INT64_FORMAT " to " INT64_FORMAT, r == 0 ? "" : ", ",
                         ranges[r].partition, ranges[r].from, ranges[r].to - 1);
    }
    if (count > kShownMax) appendStringInfoString(&text, ", ...");
    ExplainPropertyInteger("Partitions Read", NULL, count, explain);
    ExplainPropertyInteger("Partitions Not Read", NULL, peek_partition_count(peek) - count,
                           explain);
    if (count > 0) ExplainPropertyText("Offsets", text.data, explain);
    ExplainPropertyInteger("Messages Read", NULL, peek_message_count(peek), explain);
    ExplainPropertyInteger("Bad Messages", NULL, peek_bad_count(peek), explain);
}

void explain_scan(ForeignScanState* node, ExplainState* explain) {
    const Oid relation = RelationGetRelid(node->ss.ss_currentRelation);
    const char* topic = find_option(GetForeignTable(relation)->options, "topic");
    if (topic != NULL) ExplainPropertyText("Topic", topic, explain);
    explain_conditions(reinterpret_cast<const ForeignScan*>(node->ss.ps.plan), explain);
    const Scan* scan = static_cast<const Scan*>(node->fdw_state);
    if (scan != NULL && scan->peek != NULL) explain_ranges(scan->peek, explain);
}

}  // namespace

void set_scan_callbacks(FdwRoutine* routine) {
    routine->BeginForeignScan = begin_scan;
    routine->IterateForeignScan = iterate_scan;
    routine->ReScanForeignScan = rescan;
    routine->EndForeignScan = end_scan;
    routine->ExplainForeignScan = explain_scan;
}

}  // namespace anomaly::pg
