#include "pg/ingest/group_mirror.h"

namespace anomaly::pg {

namespace {

constexpr int64 kMirrorInterval_us = USECS_PER_SEC;

// One position stands for all tables.
bool has_one_position(const StreamRun* run) {
    if (run->reader_count != 1 || run->readers[0]->rows_since_commit > 0) return false;
    for (int t = 0; t < run->table_count; t++) {
        if (run->tables[t].reader == NULL) return false;
    }
    return true;
}

}  // namespace

int64 mirror_due_us(const StreamRun* run) {
    if (!run->definition->has_group || !run->mirror_is_due) return PG_INT64_MAX;
    return has_one_position(run) ? run->mirrored_at_us + kMirrorInterval_us : PG_INT64_MAX;
}

void mirror_positions(StreamRun* run) {
    const int64 now = now_us();
    if (now < mirror_due_us(run)) return;
    bridge::ingest_mirror(run->readers[0]->ingest);
    run->mirrored_at_us = now;
    run->mirror_is_due = false;
}

}  // namespace anomaly::pg
