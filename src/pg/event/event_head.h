// The numbers of events: the one row of anomaly.event_head. Whoever takes numbers holds its row
// lock until the commit, so commits follow the numbers: who has seen N never finds a new row at or
// below.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Takes so many numbers and returns the last one. The first time on another timeline or in another
// cluster than the last they jump ahead: a consumer may have seen numbers of the old primary that
// never came here. Needs SPI_connect.
int64 take_event_numbers(int64 count);

// As the active snapshot sees them; zeros before the first event. Needs SPI_connect, and the rights
// of the superuser.
struct EventHead {
    int64 seq;          // the last number given out
    int64 removed_seq;  // events up to this one were removed
    bool is_ours;       // given out by this cluster, on this timeline
};
EventHead read_event_head();

// Removes some of the events that are older than the setting anomaly.event_retention. True: there
// may be more. Needs SPI_connect.
bool remove_old_events();

}  // namespace anomaly::pg
