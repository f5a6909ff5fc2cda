// Gives out numbers of events, and removes old events.
#include "pg/event/event_head.h"

#include "pg/server/catalog.h"
#include "pg/server/guc.h"
#include "pg/server/plan.h"

namespace anomaly::pg {

namespace {

// More than a primary can have given out that its standby has not heard of.
constexpr int64 kJump = 1000000000;
constexpr int32 kRemovedAtOnce = 10000;

Plan take_numbers = {
    "INSERT INTO anomaly.event_head AS h (seq, system_identifier, timeline) VALUES ($1, $2, $3) "
    "ON CONFLICT (only_row) DO UPDATE SET seq = h.seq + EXCLUDED.seq + CASE WHEN "
    "(h.system_identifier, h.timeline) = (EXCLUDED.system_identifier, EXCLUDED.timeline) "
    "THEN 0 ELSE $4 END, "
    "system_identifier = EXCLUDED.system_identifier, timeline = EXCLUDED.timeline RETURNING seq",
    NULL};
// A prefix of the log, which ends before the first event that is kept. Not all at once, so that
// nobody waits for the row of event_head, which is taken last. Where the first is kept, the others
// are not looked at.
Plan find_old = {
    "SELECT coalesce(min(seq) FILTER (WHERE recorded_at >= now() - make_interval(secs => $1)) - 1, "
    "max(seq)) FROM (SELECT seq, recorded_at FROM anomaly.alert_event WHERE (SELECT recorded_at "
    "FROM anomaly.alert_event ORDER BY seq LIMIT 1) < now() - make_interval(secs => $1) "
    "ORDER BY seq LIMIT $2) o",
    NULL};
Plan remove_old = {"DELETE FROM anomaly.alert_event WHERE seq <= $1", NULL};
Plan note_removed = {"UPDATE anomaly.event_head SET removed_seq = greatest(removed_seq, $1)", NULL};

constexpr int kOriginArguments = 2;

// On a standby that is the timeline that it replays, which nothing was given out on here.
void fill_origin(CatalogArgument* arguments) {
    arguments[0] = argument_int8(static_cast<int64>(GetSystemIdentifier()));
    arguments[1] =
        argument_int4(RecoveryInProgress() ? 0 : static_cast<int32>(GetWALInsertionTimeLine()));
}

int64 int_of_row(int column) {
    bool is_null = false;
    return DatumGetInt64(
        SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &is_null));
}

}  // namespace

int64 take_event_numbers(int64 count) {
    CatalogArgument arguments[kOriginArguments + 2] = {argument_int8(count)};
    fill_origin(&arguments[1]);
    arguments[kOriginArguments + 1] = argument_int8(kJump);
    run_plan(&take_numbers, arguments, lengthof(arguments), SPI_OK_INSERT_RETURNING);
    return int_of_row(1);
}

EventHead read_event_head() {
    static const char kStatement[] =
        "SELECT seq, removed_seq, (system_identifier = $1 AND timeline = $2)::int::bigint "
        "FROM anomaly.event_head";
    CatalogArgument arguments[kOriginArguments];
    fill_origin(arguments);
    Oid types[] = {arguments[0].type, arguments[1].type};
    Datum values[] = {arguments[0].value, arguments[1].value};
    if (SPI_execute_with_args(kStatement, kOriginArguments, types, values, NULL, true, 0) !=
        SPI_OK_SELECT) {
        elog(ERROR, "cannot read anomaly.event_head");
    }
    if (SPI_processed == 0) return {0, 0, false};
    return {int_of_row(1), int_of_row(2), int_of_row(3) == 1};
}

bool remove_old_events() {
    if (settings.event_retention_s < 0) return false;
    const CatalogArgument range[] = {{FLOAT8OID, Float8GetDatum(settings.event_retention_s), false},
                                     argument_int8(kRemovedAtOnce)};
    run_plan(&find_old, range, lengthof(range), SPI_OK_SELECT);
    bool is_null = false;
    const Datum last = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
    if (is_null) return false;
    const CatalogArgument through = argument_int8(DatumGetInt64(last));
    const uint64 removed = run_plan(&remove_old, &through, 1, SPI_OK_DELETE);
    if (removed > 0) run_plan(&note_removed, &through, 1, SPI_OK_UPDATE);
    return removed == kRemovedAtOnce;
}

}  // namespace anomaly::pg
