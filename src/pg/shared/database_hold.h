// Commands that need a database without sessions: our processes leave it before the command looks,
// and come back when its transaction has ended.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// From the ProcessUtility hook, before a DROP, ALTER or CREATE DATABASE is run: if it needs a
// database free of sessions and the caller may run it, our processes are asked out of it. The hold
// ends with the transaction. All three wake the launcher at commit.
void make_room_for_database_command(Node* statement);

}  // namespace anomaly::pg
