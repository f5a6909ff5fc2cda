#include "pg/ingest/rest.h"

#include "pg/ingest/group_mirror.h"
#include "pg/server/call.h"
#include "pg/server/guc.h"
#include "pg/shared/shmem_rest.h"
#include "pg/shared/start_mark.h"

namespace anomaly::pg {

namespace {

// Whatever the setting says: a client takes about as long to get to its broker.
constexpr int64 kLeastSilenceUs = USECS_PER_SEC / 10;
// The manager's client may be in a bad way that this one's is not in: then it is asked anew. Twice
// as long as it takes one in a good way (kafka/client.cpp: kWatchingWaitMs).
constexpr int64 kAnswerLimitUs = 10 * USECS_PER_SEC;

bool is_alone(const StreamRun* run) {
    if (run->reader_count != 1 || run->readers[0]->wants_commit) return false;
    for (int t = 0; t < run->table_count; t++) {
        if (run->tables[t].reader == NULL) return false;
    }
    return true;
}

// Of a stream that rests already: whether it may go on.
bool may_rest(const StreamRun* run) {
    if (settings.rest_after_ms < 0 || is_careful() || !is_alone(run)) return false;
    if (mirror_due_us(run) != PG_INT64_MAX) return false;
    return bridge::ingest_quiet_since_us(run->readers[0]->ingest) != PG_INT64_MAX;
}

void wake_up(StreamRun* run) {
    if (run->rest == Rest::kNone) return;
    stop_resting();
    run->rest = Rest::kNone;
    run->awake_since_us = now_us();
    for (int r = 0; r < run->reader_count; r++) check(bridge::ingest_wake(run->readers[r]->ingest));
}

int positions_of(const StreamRun* run, bridge::RestPosition* at) {
    return bridge::ingest_rest_positions(run->readers[0]->ingest, at, kMaxRestPartitions);
}

void ask(StreamRun* run) {
    run->awake_since_us = now_us();  // or it is asked again so much later
    const int count = positions_of(run, run->rest_at);
    if (count == 0) return;
    run->rest_at_count = count;
    run->rest = Rest::kAsked;
    ask_to_rest(run->rest_at, count);
}

bool is_still_there(const StreamRun* run) {
    bridge::RestPosition at[kMaxRestPartitions];
    if (positions_of(run, at) != run->rest_at_count) return false;
    for (int i = 0; i < run->rest_at_count; i++) {
        const bridge::RestPosition* asked = &run->rest_at[i];
        if (at[i].partition != asked->partition || at[i].offset != asked->offset) return false;
    }
    return true;
}

}  // namespace

int64 rest_due_us(const StreamRun* run) {
    if (run->rest == Rest::kAsked) return run->awake_since_us + kAnswerLimitUs;
    if (run->rest == Rest::kRests || !may_rest(run)) return PG_INT64_MAX;
    const int64 quiet_since = bridge::ingest_quiet_since_us(run->readers[0]->ingest);
    const int64 silence = Max(settings.rest_after_ms * INT64CONST(1000), kLeastSilenceUs);
    return Max(quiet_since, run->awake_since_us) + silence;
}

// The watch has seen the ends that were asked for: what lies behind them, it sees.
void step_rest(StreamRun* run) {
    if (!may_rest(run)) return wake_up(run);
    switch (run->rest) {
        case Rest::kNone:
            if (now_us() >= rest_due_us(run)) ask(run);
            break;
        case Rest::kAsked:
            if (rest_state() == RestState::kAwake || !is_still_there(run)) {
                wake_up(run);
            } else if (rest_state() == RestState::kWatched) {
                run->rest = Rest::kRests;
                bridge::ingest_rest(run->readers[0]->ingest);
            } else if (now_us() >= rest_due_us(run)) {
                wake_up(run);
            }
            break;
        case Rest::kRests:
            if (rest_state() != RestState::kWatched) wake_up(run);
            break;
    }
}

}  // namespace anomaly::pg
