// The manager's watch over the topics of streams that rest.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// Lets go the streams that are awake again, and takes those that ask. Needs no transaction.
void step_rests();

// To be waited on, -1: nothing is watched; and what to do when it is readable.
int rests_fd();
void take_rest_news();

}  // namespace anomaly::pg
