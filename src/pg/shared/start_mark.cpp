// Sets, clears and heeds the mark of unfinished starts in anomaly.stream.
#include "pg/shared/start_mark.h"

#include "pg/server/plan.h"
#include "pg/shared/extension_lock.h"

namespace anomaly::pg {

namespace {

// One crash may be anybody's, also two; the third is taken for ours.
constexpr int kFreeStarts = 2;
// The same of a message that was alone.
constexpr int kFreeAttempts = 2;
constexpr int64 kFirstDelay_us = USECS_PER_SEC;
constexpr int64 kLongestDelay_us = 5 * 60 * USECS_PER_SEC;

bool is_marked = false;
bool careful = false;

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
        careful = starts > kFreeStarts;
        if (careful) {
            ereport(LOG, (errmsg("anomaly starts the worker of stream \"%s\", which ended %d times "
                                 "before it got anywhere",
                                 get_rel_name(stream), starts - 1),
                          errdetail("It takes its messages one at a time until it has found the "
                                    "one that ends it.")));
        }
    }
    SPI_finish();
    ForceSyncCommit();
    end_extension_transaction();
    is_marked = true;
    return true;
}

void clear_start_mark_in_commit(Oid stream) {
    static Plan update = {
        "UPDATE anomaly.stream SET unfinished_starts = 0, suspect_partition = NULL, "
        "suspect_offset = NULL, suspect_attempts = 0 WHERE stream = $1",
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

bool is_careful() {
    return careful;
}

void end_care() {
    careful = false;
}

bool mark_suspect(Oid stream, int32 partition, int64 offset, bool* gone) {
    static Plan update = {
        "UPDATE anomaly.stream SET suspect_partition = $2, suspect_offset = $3, suspect_attempts = "
        "CASE WHEN suspect_partition = $2 AND suspect_offset = $3 THEN suspect_attempts ELSE 0 END "
        "+ 1 WHERE stream = $1 RETURNING suspect_attempts",
        NULL};
    *gone = !begin_extension_transaction();
    if (*gone) return false;
    const CatalogArgument arguments[] = {argument_oid(REGCLASSOID, stream),
                                         argument_int4(partition), argument_int8(offset)};
    int attempts = 0;
    SPI_connect();
    if (run_plan(&update, arguments, 3, SPI_OK_UPDATE_RETURNING) == 1) {
        bool is_null = false;
        attempts =
            DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
    }
    SPI_finish();
    ForceSyncCommit();
    end_extension_transaction();
    is_marked = true;
    return attempts > kFreeAttempts;
}

TimestampTz next_start_after(int unfinished_starts, TimestampTz started_at) {
    if (unfinished_starts <= kFreeStarts) return started_at;
    const int doublings = Min(unfinished_starts - kFreeStarts - 1, 20);
    return started_at + Min(kFirstDelay_us << doublings, kLongestDelay_us);
}

}  // namespace anomaly::pg
