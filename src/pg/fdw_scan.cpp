// The broker is asked when the first row is wanted, not before: EXPLAIN and a scan that is never
// run cost nothing.
#include "pg/fdw_scan.h"

#include "pg/options.h"
#include "pg/peek.h"

namespace anomaly::pg {

namespace {

struct Scan {
    MemoryContext context;
    const StreamDefinition* stream;
    Peek* peek;  // NULL: no row was wanted yet
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

void begin_scan(ForeignScanState* node, int flags) {
    if ((flags & EXEC_FLAG_EXPLAIN_ONLY) != 0) return;
    Scan* scan = static_cast<Scan*>(palloc0(sizeof(Scan)));
    scan->context = CurrentMemoryContext;
    scan->stream = load_stream(RelationGetRelid(node->ss.ss_currentRelation), used_columns(node));
    node->fdw_state = scan;
}

TupleTableSlot* iterate_scan(ForeignScanState* node) {
    Scan* scan = static_cast<Scan*>(node->fdw_state);
    TupleTableSlot* slot = node->ss.ss_ScanTupleSlot;
    ExecClearTuple(slot);
    if (scan->peek == NULL) {
        const MemoryContext caller = MemoryContextSwitchTo(scan->context);
        scan->peek = peek_open(scan->stream);
        MemoryContextSwitchTo(caller);
    }
    if (peek_next(scan->peek, slot->tts_values, slot->tts_isnull)) ExecStoreVirtualTuple(slot);
    return slot;
}

void rescan(ForeignScanState* node) {
    Scan* scan = static_cast<Scan*>(node->fdw_state);
    if (scan->peek != NULL) peek_restart(scan->peek);
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

void explain_scan(ForeignScanState* node, ExplainState* explain) {
    const Oid relation = RelationGetRelid(node->ss.ss_currentRelation);
    const char* topic = find_option(GetForeignTable(relation)->options, "topic");
    if (topic != NULL) ExplainPropertyText("Topic", topic, explain);
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
