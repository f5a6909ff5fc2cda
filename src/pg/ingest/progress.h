// Progress, checkpoint log, late rows, dead letters and lost ranges of continuous tables, in the
// extension's own tables. All need a transaction and write as the superuser of the worker.
#pragma once

#include "bridge/ingest.h"
#include "pg/pg.h"

namespace anomaly::pg {

// Who a record is about.
struct RecordSource {
    Oid stream;
    Oid table;  // InvalidOid: the stream as a whole
    const char* topic;
    Datum missed_by;  // dead letters: the tables that passed them, a regclass[]
};

// A regclass[] of relations.
Datum relation_array(const Oid* relations, int count);

// Into the current memory context.
void load_progress(Oid table, TableProgress* progress);

// Feeds the table's checkpoint log to a reader (checkpoint_read.cpp).
void restore_checkpoint(Oid table, bridge::Ingest* ingest, int index);

struct ProgressCounts {
    int64 messages;  // good or bad, since the last commit
    int64 bytes;
    int64 rows_written;
    int64 row_errors;       // rows not there now, because an expression over aggregates failed
    const char* row_error;  // the last one's text
    bool close_done;        // anomaly.close_windows was asked for, and this commit did it
};
void store_progress(Oid table, const TableChanges* changes, const ProgressCounts* counts);
// Where a table begins, before it has read anything.
void store_start(Oid table, const TableProgress* progress);

// Appends to the log what the commit at hand has for it, and removes what that makes obsolete
// (checkpoint_write.cpp).
void store_checkpoint(Oid table, bridge::Ingest* ingest, int index);
void store_late_rows(const RecordSource* source, const LateRow* rows, int count);
// Another reader of the stream may have met the same message before. Counts those that are new.
void store_dead_letters(const RecordSource* source, const DeadLetter* letters, int count);
// Keeps the newest ones of the stream, as many as anomaly.dead_letter_limit says.
void trim_dead_letters(Oid stream);
void store_lost_ranges(const RecordSource* source, const bridge::LostRange* ranges, int count);

// Remembers why a table stopped; its position stays. False: it had stopped for that already.
bool store_failure(Oid table, const char* error);
// It can go on, though it has taken in nothing yet.
void clear_failure(Oid table);

}  // namespace anomaly::pg
