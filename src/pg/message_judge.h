// Decides what a message means for a stream: exactly jsonb_populate_record's answer, column by
// column, so that an error names its column.
#pragma once

#include "bridge/ingest.h"
#include "pg/pg.h"
#include "pg/stream.h"

namespace anomaly::pg {

struct MessageJudge;

// Lives, with all that the type input functions keep, in the current memory context.
MessageJudge* judge_create(const StreamDefinition* stream);

// Values and nulls by column, for the fields of the message; others are left alone. Raises an error
// for a bad message; judge_column() then says which column was at work, NULL: none.
void judge_message(MessageJudge* judge, const bridge::RawMessage& message, Datum* values,
                   bool* nulls);
const char* judge_column(const MessageJudge* judge);

}  // namespace anomaly::pg
