// Statements that give or take away rights to read what continuous tables read.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// To be called after the statement: has the workers look whose tables may not go on, or may again.
// Workers find out by themselves when they next commit; this is for those that have nothing to do.
void wake_readers_after_grant(Node* statement);

}  // namespace anomaly::pg
