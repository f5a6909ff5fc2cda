// Writes events.
#include "pg/event/event_log.h"

#include "pg/event/event_head.h"
#include "pg/server/array_argument.h"
#include "pg/server/plan.h"

namespace anomaly::pg {

namespace {

// The id is made of what has happened, so that a repeat has the same. The first event of a finding
// has the finding's.
Plan insert_events = {
    "INSERT INTO anomaly.alert_event (seq, kind, id, finding, table_id, rule, table_name, message) "
    "SELECT $1 + e.number, e.kind, CASE WHEN e.kind = 'finding' AND e.occurrence = 0 "
    "THEN e.finding ELSE pg_catalog.md5(pg_catalog.jsonb_build_array(e.kind, e.finding, e.rule, "
    "e.table_name, e.occurrence)::text)::uuid END, e.finding, k.id, e.rule, e.table_name, "
    "e.message "
    "FROM unnest($2, $3, $4, $5, $6, $7, $8) WITH ORDINALITY "
    "AS e (kind, finding, relid, rule, table_name, message, occurrence, number) "
    "LEFT JOIN anomaly.continuous_table k ON k.relid = e.relid",
    NULL};

constexpr const char* kind_name(EventKind kind) {
    switch (kind) {
        case EventKind::kFinding:
            return "finding";
        case EventKind::kFindingEnded:
            return "finding_ended";
        case EventKind::kRuleFailing:
            return "rule_failing";
        case EventKind::kRuleRunning:
            return "rule_running";
    }
    return "";
}

void insert(const List* events, int64 after) {
    const int count = list_length(events);
    ArrayColumn kinds = make_array_column(TEXTOID, count);
    ArrayColumn findings = make_array_column(UUIDOID, count);
    ArrayColumn relids = make_array_column(OIDOID, count);
    ArrayColumn rules = make_array_column(TEXTOID, count);
    ArrayColumn tables = make_array_column(TEXTOID, count);
    ArrayColumn messages = make_array_column(TEXTOID, count);
    ArrayColumn occurrences = make_array_column(INT8OID, count);
    ListCell* cell;
    foreach (cell, events) {
        const Event* event = static_cast<const Event*>(lfirst(cell));
        append_text(&kinds, kind_name(event->kind));
        append_if(&findings, event->finding != Datum{0}, event->finding);
        append_value(&relids, ObjectIdGetDatum(event->table));
        append_text(&rules, event->rule);
        append_text(&tables, event->table_name);
        append_text(&messages, event->message);
        append_value(&occurrences, Int64GetDatum(event->occurrence));
    }
    const CatalogArgument arguments[] = {argument_int8(after),     argument_array(kinds),
                                         argument_array(findings), argument_array(relids),
                                         argument_array(rules),    argument_array(tables),
                                         argument_array(messages), argument_array(occurrences)};
    run_plan(&insert_events, arguments, lengthof(arguments), SPI_OK_INSERT);
}

int64 count_of(const List* events, EventKind kind) {
    int64 count = 0;
    ListCell* cell;
    foreach (cell, events) {
        if (static_cast<const Event*>(lfirst(cell))->kind == kind) count++;
    }
    return count;
}

}  // namespace

Event* make_rule_event(EventKind kind, Oid table, const char* rule, const char* message,
                       int64 occurrence) {
    Event* event = static_cast<Event*>(palloc0(sizeof(Event)));
    *event = {kind,      table, Datum{0}, pstrdup(rule), get_rel_name(table), pstrdup(message),
              occurrence};
    return event;
}

EventSpan write_events(const List* events) {
    EventSpan span = {};
    if (events == NIL) return span;
    span.count = list_length(events);
    span.firing = count_of(events, EventKind::kFinding);
    span.resolved = count_of(events, EventKind::kFindingEnded);
    span.last_seq = take_event_numbers(span.count);
    insert(events, span.last_seq - span.count);
    return span;
}

}  // namespace anomaly::pg
