// The SQL that writes a continuous table from the rows collected for a commit.
#pragma once

#include "pg/pg.h"
#include "pg/query/definition.h"

namespace anomaly::pg {

constexpr const char kGoneName[] = "anomaly_gone";

struct WriteStatements {
    const char* upsert;
    const char* insert;  // the same for rows that are all new
    const char* update;  // of the one row of a table without a key, NULL otherwise
    const char* expire;  // rows of windows up to $1, NULL: without windows
    const char* remove;  // NULL: rows are never removed
    SPIPlanPtr upsert_plan;
    SPIPlanPtr insert_plan;
    SPIPlanPtr update_plan;
    SPIPlanPtr remove_plan;
    SPIPlanPtr expire_plan;
    bool expires_by_end;  // $1 is a window's end, not a start
    int64 present_count;  // rows collected for this commit
    int64 gone_count;
    bool all_new;  // no row of these groups was ever written
};

// Quoted, as it is now.
const char* qualified_name(Relation table);

// Texts live in the current memory context.
void make_write_statements(Relation table, const TableDefinition* definition,
                           WriteStatements* statements);

// Needs the collected rows registered with SPI. Returns the number of rows touched.
int64 run_write_statements(WriteStatements* statements);

// Removes the rows that the table no longer retains. Returns their number.
int64 run_expire_statement(WriteStatements* statements, const TableChanges* changes);

}  // namespace anomaly::pg
