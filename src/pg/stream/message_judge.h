// Decides what a message means for a stream. Of JSON exactly jsonb_populate_record's answer, column
// by column, so that an error names its column; of texts what the column types' input functions
// say.
#pragma once

#include "bridge/ingest.h"
#include "pg/pg.h"
#include "pg/stream/stream.h"

namespace anomaly::pg {

struct MessageJudge;

// Lives, with all that the type input functions keep, in the current memory context.
MessageJudge* judge_create(const StreamDefinition* stream);

// The rows that a JSON message holds: one, unless the stream has option rows. Raises an error for
// what is no such message.
int judge_message(MessageJudge* judge, const bridge::RawMessage& message);
// Values and nulls by column, of one of these rows; columns that the message does not fill stay
// NULL. Raises an error for a bad one; judge_place() then says which column was at work.
void judge_row(MessageJudge* judge, int row, Datum* values, bool* nulls);
// The same for a row of texts.
void judge_texts(MessageJudge* judge, const bridge::Ingest* ingest, int32 row, Datum* values,
                 bool* nulls);

// In words: the column (and row) at work, NULL: none.
const char* judge_place(const MessageJudge* judge);

}  // namespace anomaly::pg
