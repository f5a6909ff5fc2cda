// Options of servers and user mappings: the client library's properties with _ for the dots.
#pragma once

#include "bridge/ingest.h"
#include "pg/pg.h"

namespace anomaly::pg {

// The properties for a client that acts for `owner`: the server's options, and those of the user
// mapping (the owner's, else PUBLIC's; a missing one is as good as an empty one).
const bridge::Property* load_properties(Oid server, Oid owner, int* count);

}  // namespace anomaly::pg
