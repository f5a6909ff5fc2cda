// Reads and writes how far each continuous table is, and what it could not take.
#include "pg/ingest/progress.h"

#include "pg/server/guc.h"
#include "pg/server/plan.h"

namespace anomaly::pg {

namespace {

struct Array {
    Datum* values;
    int count;
};

Array array_at(const SPITupleTable* rows, int column, Oid type, int length) {
    bool is_null = false;
    const Datum datum = SPI_getbinval(rows->vals[0], rows->tupdesc, column, &is_null);
    Array array = {};
    bool* nulls = NULL;
    deconstruct_array(DatumGetArrayTypeP(datum), type, length, true, TYPALIGN_DOUBLE, &array.values,
                      &nulls, &array.count);
    return array;
}

Array int4_array_at(const SPITupleTable* rows, int column) {
    bool is_null = false;
    const Datum datum = SPI_getbinval(rows->vals[0], rows->tupdesc, column, &is_null);
    Array array = {};
    bool* nulls = NULL;
    deconstruct_array(DatumGetArrayTypeP(datum), INT4OID, sizeof(int32), true, TYPALIGN_INT,
                      &array.values, &nulls, &array.count);
    return array;
}

Array int8_array_at(const SPITupleTable* rows, int column) {
    return array_at(rows, column, INT8OID, sizeof(int64));
}

void read_partitions(const SPITupleTable* rows, TableProgress* progress, MemoryContext target) {
    const Array partitions = int4_array_at(rows, 3);
    const Array next = int8_array_at(rows, 4);
    const Array last = int8_array_at(rows, 5);
    const Array hashes = int8_array_at(rows, 6);
    const Array times = int8_array_at(rows, 7);
    const int count = partitions.count;
    if (next.count != count || last.count != count || hashes.count != count ||
        times.count != count) {
        ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                        errmsg("arrays of unequal length in anomaly.table_progress")));
    }
    PartitionProgress* out = static_cast<PartitionProgress*>(
        MemoryContextAllocZero(target, sizeof(PartitionProgress) * static_cast<Size>(count + 1)));
    for (int i = 0; i < count; i++) {
        out[i].partition = DatumGetInt32(partitions.values[i]);
        out[i].next_offset = DatumGetInt64(next.values[i]);
        out[i].last_offset = DatumGetInt64(last.values[i]);
        out[i].last_hash = static_cast<uint64>(DatumGetInt64(hashes.values[i]));
        out[i].max_event_time = DatumGetInt64(times.values[i]);
    }
    progress->partitions = out;
    progress->partition_count = count;
}

// ---- the arrays of a progress row, as arguments ----

CatalogArgument int8_array(const TableProgress* progress,
                           int64 (*member)(const PartitionProgress*)) {
    const int count = progress->partition_count;
    Datum* values = static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<Size>(count + 1)));
    for (int i = 0; i < count; i++) values[i] = Int64GetDatum(member(&progress->partitions[i]));
    ArrayType* array =
        construct_array(values, count, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE);
    return {INT8ARRAYOID, PointerGetDatum(array), false};
}

CatalogArgument partition_array(const TableProgress* progress) {
    const int count = progress->partition_count;
    Datum* values = static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<Size>(count + 1)));
    for (int i = 0; i < count; i++) values[i] = Int32GetDatum(progress->partitions[i].partition);
    ArrayType* array = construct_array(values, count, INT4OID, sizeof(int32), true, TYPALIGN_INT);
    return {INT4ARRAYOID, PointerGetDatum(array), false};
}

int64 next_offset(const PartitionProgress* p) {
    return p->next_offset;
}
int64 last_offset(const PartitionProgress* p) {
    return p->last_offset;
}
int64 last_hash(const PartitionProgress* p) {
    return static_cast<int64>(p->last_hash);
}
int64 max_event_time(const PartitionProgress* p) {
    return p->max_event_time;
}

CatalogArgument argument_time(int64 time) {
    return {TIMESTAMPTZOID, TimestampTzGetDatum(time), time == kNoTime};
}

CatalogArgument argument_bytes(const char* data, int size) {
    if (data == NULL) return {BYTEAOID, Datum{0}, true};
    bytea* bytes = static_cast<bytea*>(palloc(static_cast<Size>(size) + VARHDRSZ));
    SET_VARSIZE(bytes, static_cast<Size>(size) + VARHDRSZ);
    memcpy(VARDATA(bytes), data, static_cast<size_t>(size));
    return {BYTEAOID, PointerGetDatum(bytes), false};
}

// Kafka's milliseconds since 1970 as a timestamptz.
CatalogArgument argument_kafka_time(int64 timestamp_ms) {
    constexpr int64 kEpochUs =
        static_cast<int64>(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
    return argument_time(timestamp_ms < 0 ? kNoTime : timestamp_ms * 1000 - kEpochUs);
}

Plan update_progress = {
    "UPDATE anomaly.table_progress SET sequence = $2, partitions = $3, next_offsets = $4, "
    "last_offsets = $5, last_hashes = $6, max_event_times = $7, watermark = $8, "
    "rows_written = rows_written + $9, late_rows = late_rows + $10, "
    "dead_letters = dead_letters + $11, row_errors = row_errors + $12, "
    "last_row_error = coalesce($13, last_row_error), open_windows = $14, open_groups = $15, "
    "messages = messages + $16, bytes = bytes + $17, failures = 0, "
    "committed_at = pg_catalog.clock_timestamp() WHERE relid = $1",
    NULL};
Plan end_close_request = {
    "UPDATE anomaly.continuous_table SET close_requested = false WHERE relid = $1", NULL};
Plan insert_late_row = {
    "INSERT INTO anomaly.late_row (relid, stream, topic, kafka_partition, kafka_offset, "
    "kafka_timestamp, window_start, window_end, message) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    NULL};
Plan insert_dead_letter = {
    "INSERT INTO anomaly.dead_letter AS d (stream, relid, topic, kafka_partition, kafka_offset, "
    "kafka_timestamp, reason, message, message_key, missed_by) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
    "ON CONFLICT (stream, relid, kafka_partition, kafka_offset) DO UPDATE SET "
    "reason = excluded.reason, missed_by = coalesce((SELECT "
    "pg_catalog.array_agg(DISTINCT t) FROM pg_catalog.unnest(d.missed_by || excluded.missed_by) "
    "AS t), '{}') RETURNING (xmax = 0)",
    NULL};
Plan count_dead_letters = {
    "INSERT INTO anomaly.dead_letter_count AS c (stream, letters) VALUES ($1, $2) "
    "ON CONFLICT (stream) DO UPDATE SET letters = c.letters + excluded.letters",
    NULL};
Plan delete_old_dead_letters = {
    "DELETE FROM anomaly.dead_letter WHERE stream = $1 AND id <= (SELECT id FROM "
    "anomaly.dead_letter WHERE stream = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)",
    NULL};
Plan insert_lost_range = {
    "INSERT INTO anomaly.lost_range (stream, relid, topic, kafka_partition, from_offset, "
    "to_offset, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    NULL};
Plan update_failure = {
    "UPDATE anomaly.table_progress p SET failures = p.failures + 1, last_error = $2, "
    "last_error_at = pg_catalog.clock_timestamp() FROM anomaly.table_progress old "
    "WHERE p.relid = $1 AND old.relid = $1 "
    "RETURNING old.failures = 0 OR old.last_error IS DISTINCT FROM $2",
    NULL};
Plan end_failure = {"UPDATE anomaly.table_progress SET failures = 0 WHERE relid = $1", NULL};
Plan update_start = {
    "UPDATE anomaly.table_progress SET partitions = $2, next_offsets = $3, last_offsets = $4, "
    "last_hashes = $5, max_event_times = $6 WHERE relid = $1",
    NULL};

}  // namespace

void load_progress(Oid table, TableProgress* progress) {
    const MemoryContext target = CurrentMemoryContext;
    static Plan select = {
        "SELECT sequence, watermark, partitions, next_offsets, last_offsets, last_hashes, "
        "max_event_times FROM anomaly.table_progress WHERE relid = $1",
        NULL};
    const CatalogArgument argument = argument_oid(REGCLASSOID, table);
    SPI_connect();
    if (run_plan(&select, &argument, 1, SPI_OK_SELECT) != 1) {
        elog(ERROR, "no entry for relation %u in anomaly.table_progress", table);
    }
    const SPITupleTable* rows = SPI_tuptable;
    bool is_null = false;
    progress->sequence = DatumGetInt64(SPI_getbinval(rows->vals[0], rows->tupdesc, 1, &is_null));
    const Datum watermark = SPI_getbinval(rows->vals[0], rows->tupdesc, 2, &is_null);
    progress->watermark = is_null ? kNoTime : DatumGetTimestampTz(watermark);
    read_partitions(rows, progress, target);
    SPI_finish();
}

void store_progress(Oid table, const TableChanges* changes, const ProgressCounts* counts) {
    const TableProgress* progress = &changes->progress;
    const CatalogArgument arguments[] = {
        argument_oid(REGCLASSOID, table),
        argument_int8(progress->sequence),
        partition_array(progress),
        int8_array(progress, next_offset),
        int8_array(progress, last_offset),
        int8_array(progress, last_hash),
        int8_array(progress, max_event_time),
        argument_time(progress->watermark),
        argument_int8(counts->rows_written),
        argument_int8(changes->late_row_count),
        argument_int8(changes->dead_letter_count),
        argument_int8(counts->row_errors),
        argument_text(counts->row_errors > 0 ? counts->row_error : NULL),
        argument_int8(changes->open_windows),
        argument_int8(changes->open_groups),
        argument_int8(counts->messages),
        argument_int8(counts->bytes),
    };
    run_plan(&update_progress, arguments, lengthof(arguments), SPI_OK_UPDATE);
    if (counts->close_done) run_plan(&end_close_request, arguments, 1, SPI_OK_UPDATE);
}

void store_start(Oid table, const TableProgress* progress) {
    const CatalogArgument arguments[] = {
        argument_oid(REGCLASSOID, table),  partition_array(progress),
        int8_array(progress, next_offset), int8_array(progress, last_offset),
        int8_array(progress, last_hash),   int8_array(progress, max_event_time),
    };
    run_plan(&update_start, arguments, lengthof(arguments), SPI_OK_UPDATE);
}

void store_late_rows(const RecordSource* source, const LateRow* rows, int count) {
    for (int i = 0; i < count; i++) {
        const LateRow* row = &rows[i];
        const CatalogArgument arguments[] = {
            argument_oid(REGCLASSOID, source->table),
            argument_oid(REGCLASSOID, source->stream),
            argument_text(source->topic),
            argument_int4(row->partition),
            argument_int8(row->offset),
            argument_kafka_time(row->timestamp_ms),
            argument_time(row->window_start),
            argument_time(row->window_end),
            argument_bytes(row->value, row->value_size),
        };
        run_plan(&insert_late_row, arguments, lengthof(arguments), SPI_OK_INSERT);
    }
}

void store_dead_letters(const RecordSource* source, const DeadLetter* letters, int count) {
    int64 stored = 0;
    for (int i = 0; i < count; i++) {
        const DeadLetter* letter = &letters[i];
        const CatalogArgument arguments[] = {
            argument_oid(REGCLASSOID, source->stream),
            {REGCLASSOID, ObjectIdGetDatum(source->table), !OidIsValid(source->table)},
            argument_text(source->topic),
            argument_int4(letter->partition),
            argument_int8(letter->offset),
            argument_kafka_time(letter->timestamp_ms),
            argument_text(letter->reason),
            argument_bytes(letter->value, letter->value_size),
            argument_bytes(letter->key, letter->key_size),
            {REGCLASSARRAYOID, source->missed_by, false},
        };
        run_plan(&insert_dead_letter, arguments, lengthof(arguments), SPI_OK_INSERT_RETURNING);
        bool is_null = false;
        if (DatumGetBool(
                SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null))) {
            stored++;
        }
        SPI_freetuptable(SPI_tuptable);
    }
    const CatalogArgument arguments[] = {argument_oid(REGCLASSOID, source->stream),
                                         argument_int8(stored)};
    if (stored > 0) run_plan(&count_dead_letters, arguments, lengthof(arguments), SPI_OK_INSERT);
}

void trim_dead_letters(Oid stream) {
    const CatalogArgument arguments[] = {argument_oid(REGCLASSOID, stream),
                                         argument_int8(settings.dead_letter_limit)};
    run_plan(&delete_old_dead_letters, arguments, lengthof(arguments), SPI_OK_DELETE);
}

Datum relation_array(const Oid* relations, int count) {
    Datum* values = static_cast<Datum*>(palloc(sizeof(Datum) * (static_cast<Size>(count) + 1)));
    for (int i = 0; i < count; i++) values[i] = ObjectIdGetDatum(relations[i]);
    return PointerGetDatum(
        construct_array(values, count, REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT));
}

void store_lost_ranges(const RecordSource* source, const bridge::LostRange* ranges, int count) {
    for (int i = 0; i < count; i++) {
        const CatalogArgument arguments[] = {
            argument_oid(REGCLASSOID, source->stream),
            argument_oid(REGCLASSOID, source->table),
            argument_text(source->topic),
            argument_int4(ranges[i].partition),
            argument_int8(ranges[i].from_offset),
            argument_int8(ranges[i].to_offset),
            argument_text(ranges[i].reason),
        };
        run_plan(&insert_lost_range, arguments, lengthof(arguments), SPI_OK_INSERT);
    }
}

bool store_failure(Oid table, const char* error) {
    const CatalogArgument arguments[] = {argument_oid(REGCLASSOID, table), argument_text(error)};
    const uint64 count =
        run_plan(&update_failure, arguments, lengthof(arguments), SPI_OK_UPDATE_RETURNING);
    bool is_null = false;
    return count == 1 &&
           DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
}

void clear_failure(Oid table) {
    const CatalogArgument argument = argument_oid(REGCLASSOID, table);
    run_plan(&end_failure, &argument, 1, SPI_OK_UPDATE);
}

}  // namespace anomaly::pg
