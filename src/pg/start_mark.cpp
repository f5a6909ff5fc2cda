// Sets, clears and heeds the mark of unfinished starts in anomaly.stream.
#include "pg/start_mark.h"

#include "pg/extension_lock.h"
#include "pg/plan.h"

namespace anomaly::pg {

namespace {

// One crash may be anybody's, also two; the third is taken for ours.
constexpr int kFreeStarts = 2;
constexpr int64 kFirstDelay_us = USECS_PER_SEC;
constexpr int64 kLongestDelay_us = 5 * 60 * USECS_PER_SEC;

bool is_marked = false;

}  // namespace

bool set_start_mark(Oid stream) {
    static Plan update = {
        "UPDATE anomaly.stream SET unfinished_starts = unfinished_starts + 1, "
        "started_at = pg_catalog.clock_timestamp() WHERE stream = $1 RETURNING unfinished_starts",
        NULL};
    if (!begin_extension_transaction()) return false;
    const CatalogArgument argument = argument_oid(REGCLASSOID, stream);
    SPI_connect();
    if (run_plan(&update, &argument, 1, SPI_OK_UPDATE_RETURNING) == 1) {
        bool is_null = false;
        const int starts =
            DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
        if (starts > kFreeStarts) {
            ereport(LOG, (errmsg("anomaly starts the worker of stream \"%s\", which ended %d times "
                                 "before it got anywhere",
                                 get_rel_name(stream), starts - 1)));
        }
    }
    SPI_finish();
    ForceSyncCommit();
    end_extension_transaction();
    is_marked = true;
    return true;
}

void clear_start_mark_in_commit(Oid stream) {
    static Plan update = {"UPDATE anomaly.stream SET unfinished_starts = 0 WHERE stream = $1",
                          NULL};
    if (!is_marked) return;
    const CatalogArgument argument = argument_oid(REGCLASSOID, stream);
    run_plan(&update, &argument, 1, SPI_OK_UPDATE);
    is_marked = false;
}

bool clear_start_mark(Oid stream) {
    if (!is_marked) return true;
    if (!begin_extension_transaction()) return false;
    SPI_connect();
    clear_start_mark_in_commit(stream);
    SPI_finish();
    end_extension_transaction();
    return true;
}

TimestampTz next_start_after(int unfinished_starts, TimestampTz started_at) {
    if (unfinished_starts <= kFreeStarts) return started_at;
    const int doublings = Min(unfinished_starts - kFreeStarts - 1, 20);
    return started_at + Min(kFirstDelay_us << doublings, kLongestDelay_us);
}

}  // namespace anomaly::pg
