// The event log: what happened, numbered in the order of commits.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

enum class EventKind : uint8_t {
    kFinding,       // a rule found something
    kFindingEnded,  // what a rule on update had found holds no more
    kRuleFailing,   // a rule has begun to fail again and again, or has ended its worker
    kRuleRunning,   // and has done well again
};

// palloc'd, with all that it points to.
struct Event {
    EventKind kind;
    Oid table;
    Datum finding;           // uuid, for the first two; 0: none
    const char* rule;        // for the others, as what follows
    const char* table_name;  //
    const char* message;     //
    int64 occurrence;        // tells it from others of its kind about the same thing
};

// About a rule; in the current memory context.
Event* make_rule_event(EventKind kind, Oid table, const char* rule, const char* message,
                       int64 occurrence);

// The events of one commit, or of several.
struct EventSpan {
    int64 last_seq;
    int64 count;
    int64 firing;    // findings
    int64 resolved;  // findings that ended
};

// Writes the events (a list of Event*); the last thing before the commit, since the row of
// event_head stays locked until then. Needs SPI_connect.
EventSpan write_events(const List* events);

}  // namespace anomaly::pg
