// Transactions of workers, ordered against DROP EXTENSION: each first takes a share lock on the
// extension, and nothing before it. So DROP EXTENSION waits for at most one short transaction, and
// there is no cycle to deadlock in.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Starts a transaction with a snapshot; false (and no transaction) when the extension is gone.
bool begin_extension_transaction();
void end_extension_transaction();

// The manager is woken at the commit of a DROP EXTENSION anomaly.
void install_extension_drop_hook();

}  // namespace anomaly::pg
