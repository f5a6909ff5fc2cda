// Writes the changes of one commit into a continuous table: a set at a time, as ordinary SQL, so
// that triggers, indexes and logical replication see what they always see.
#pragma once

#include "bridge/ingest.h"
#include "core/spec.h"
#include "pg/pg.h"
#include "pg/query/definition.h"

namespace anomaly::pg {

struct TableWriter;

// Lives in the current memory context. `pinned_settings` is the json of the settings that the
// definition was made under.
TableWriter* create_writer(Oid table, Oid owner, const TableDefinition* definition,
                           const char* pinned_settings);
void set_writer_spec(TableWriter* writer, const TableSpec* spec);

// What rules and the statements read: one row for each group changed or closed, or message
// appended. Columns as the table's, then these.
constexpr const char kChangesName[] = "anomaly_changes";
constexpr const char kOrdinalColumn[] = "anomaly ordinal";      // int4
constexpr const char kChangedColumn[] = "anomaly changed";      // bool: to be written
constexpr const char kClosedColumn[] = "anomaly closed";        // bool: its window is final now
constexpr const char kPartitionColumn[] = "anomaly partition";  // int4, filters
constexpr const char kOffsetColumn[] = "anomaly offset";        // int8, filters

// Where the changes of a commit are.
struct ChangesSource {
    bridge::Ingest* ingest;  // NULL: there are none
    int index;               // of the table
};

// Evaluates the rows and registers them with SPI under kChangesName. Needs SPI_connect, as the
// table's owner. Returns how many rows there are.
int64 collect_changes(TableWriter* writer, const ChangesSource& source);

// What is registered under kChangesName.
struct CollectedRows {
    Tuplestorestate* store;
    TupleDesc columns;
    int version;  // grows when the table, its schema or a column is renamed
};
CollectedRows collected_rows(const TableWriter* writer);

// Frees what collect_changes has registered; before SPI_finish.
void end_changes(TableWriter* writer);

// Writes the registered changes. Returns the number of rows inserted, updated and deleted.
int64 write_changes(TableWriter* writer);

// Removes the rows that retention wants gone with this commit. Returns their number.
int64 expire_rows(TableWriter* writer, const TableChanges* changes);

// Rows of this commit whose expressions over aggregates, or HAVING, raised an error; and the last.
int64 writer_error_count(const TableWriter* writer, const char** message);

// Puts the definition's settings in force until AtEOXact_GUC(true, the returned nest level): its
// expressions and the triggers on the table mean what they meant when it was created.
int apply_writer_settings(const TableWriter* writer);

}  // namespace anomaly::pg
