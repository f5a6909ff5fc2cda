// Statements that make or alter a stream, its server or a user mapping. What they say is checked at
// once, what would break a continuous table is refused, and workers that run take it up at commit.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

struct StreamStatement {
    const RangeVar* made;  // a foreign table that may become a stream
    Oid stream;            // that is altered
    Oid server;            // that is altered, or whose user mapping is
};

// Before and after the statement is run. The first raises an error for what is refused; false: it
// is nothing to streams.
bool begin_stream_statement(Node* statement, StreamStatement* out);
void end_stream_statement(const StreamStatement* statement);

// Raises an error if a table that inherits from this one would add rows to what the query of a
// continuous table reads.
void check_heir_of(Oid parent);

}  // namespace anomaly::pg
