// Streams that rest: their worker has no client, and the manager of the database watches the ends
// of the topic for it. The worker asks, and lets its client go only when the manager's watch has
// seen those very ends; from then on either of them ends it. Holds no secrets.
#pragma once

#include "bridge/ingest.h"
#include "pg/pg.h"

namespace anomaly::pg {

enum class RestState : uint8 {
    kAwake,
    kAsked,    // the worker would like to
    kTaken,    // the manager watches, and has not seen the ends yet
    kWatched,  // it has: the worker may let its client go
};

constexpr int kMaxRestPartitions = 64;

struct RestRequest {
    Oid stream;
    uint32 number;  // of the request, in the slot
    int count;
    bridge::RestPosition at[kMaxRestPartitions];
};

// ---- the worker ----

void ask_to_rest(const bridge::RestPosition* at, int count);
RestState rest_state();
void stop_resting();

// ---- the manager ----

// False: no worker of the database asks.
bool take_rest_request(RestRequest* out);
bool rest_goes_on(Oid stream, uint32 number);
void confirm_rest(Oid stream, uint32 number);
void end_rest(Oid stream, uint32 number);

}  // namespace anomaly::pg
