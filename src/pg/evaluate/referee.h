// PostgreSQL as the judge over a batch: answers what the bridge cannot decide (messages whose
// meaning is not certain, expressions that are not native) by PostgreSQL's own functions, each
// error contained in a subtransaction and given back as the reason.
//
// Cancelling, shutdown and lack of resources are not contained, nor are errors that neither a row
// nor a table is to blame for (a generated column's function that may not be called).
#pragma once

#include "bridge/ingest.h"
#include "pg/pg.h"
#include "pg/stream/stream.h"

namespace anomaly::pg {

struct KeyIdentity;
struct Referee;

// Whose rights an expression is evaluated with, and under which settings (json, pinned_settings.h).
struct EvaluationTerms {
    Oid userid;
    const char* settings;
};

// The definition must outlive the referee, which lives in `context`. Messages and generated columns
// are judged as `userid`, security-restricted, times without a zone as UTC. Knows the stream's
// generated columns already.
Referee* referee_create(const StreamDefinition* stream, Oid userid, MemoryContext context);

// An expression of a table, numbered as in bridge/ingest.h; Vars of `stream_varno`. Copied. Of a
// row that is_packed (aggregate_plan.h) the value is the bytes of its columns.
// identity: of a group key, NULL: none (pg/query/key_identity.h); must outlive the expression.
void referee_add_expression(Referee* referee, int32 table, int32 expression, const Expr* expr,
                            Index stream_varno, const EvaluationTerms& terms,
                            KeyIdentity* identity);
// After ingest_join or ingest_remove_table: forgets the expressions of all tables.
void referee_clear_expressions(Referee* referee);

// Answers all requests of the batch at hand until the bridge has folded it. Where a request comes
// and no transaction is open, one is begun, and committed at the end; a caller that is in none
// pays nothing for a batch that needs no judge. The memory context is the same afterwards.
// Returns the tables (BrokenTable*) with an expression that cannot be evaluated at all: ingest has
// lost them. They live as long as the referee.
struct BrokenTable {
    int32 table;
    const char* reason;
};
const List* referee_run(Referee* referee, bridge::Ingest* ingest);

}  // namespace anomaly::pg
