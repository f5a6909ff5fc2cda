// Options of servers and user mappings: the client library's properties with _ for the dots, and
// delivery.
#pragma once

#include "bridge/ingest.h"
#include "bridge/property.h"

#include "pg/pg.h"

namespace anomaly::pg {

// The properties for a client that acts for `user`: the server's options, and those of the user
// mapping (the user's, else PUBLIC's; a missing one is as good as an empty one).
const bridge::Property* load_properties(Oid server, Oid user, bridge::ClientKind client,
                                        int* count);

// That mapping, InvalidOid: there is none.
Oid find_mapping(Oid server, Oid user);

}  // namespace anomaly::pg
