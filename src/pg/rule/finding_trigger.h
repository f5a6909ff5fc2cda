// Triggers of users on anomaly.finding_log, which are how a user's own dispatcher begins. The
// worker writes there as the superuser, so only what cannot borrow its rights is let through: AFTER
// triggers without WHEN whose function is SECURITY DEFINER or a superuser's.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Raises an error if there is another kind by now: a function may have changed since. In a
// transaction that is going to write findings.
void check_finding_triggers();

// Refuses them when they are made, and any on our other tables.
void install_finding_trigger_hook();

}  // namespace anomaly::pg
