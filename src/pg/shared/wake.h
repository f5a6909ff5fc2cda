// Wake-ups that happen when the current transaction commits, once each, and not if it does not.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// The manager of this database reads the catalog again.
void wake_manager_at_commit();
// So does the worker of this stream, and the manager.
void wake_stream_at_commit(Oid stream);
// The worker of this stream closes the windows of the tables that ask for it; if it has none yet,
// the manager sees to that.
void close_windows_at_commit(Oid stream);
// The launcher reads pg_database again.
void wake_launcher_at_commit();
// The launcher looks whether this database has the extension.
void tell_launcher_at_commit();

// The same at once: a prepared transaction of this database, whose wishes nobody remembers, has
// been committed.
void wake_after_prepared_commit();

}  // namespace anomaly::pg
