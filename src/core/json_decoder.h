// Makes columns of JSON messages, a batch at a time. One owner, one thread.
//
// The meaning of a message is PostgreSQL's jsonb_populate_record and nothing else. A value is
// decoded here only where that meaning is certain; of every other message the row is kUnsure and
// PostgreSQL decides (and words the error). Fields that no column names are only walked over.
#pragma once

#include <memory>
#include <vector>

#include "core/column.h"
#include "core/message.h"
#include "core/row_state.h"
#include "core/spec.h"

namespace anomaly {

class JsonDecoder {
  public:
    // Copies what it keeps. database_is_utf8: otherwise a message that is not ASCII is kUnsure.
    JsonDecoder(const StreamSpec& stream, bool database_is_utf8);
    ~JsonDecoder();
    JsonDecoder(const JsonDecoder&) = delete;
    JsonDecoder& operator=(const JsonDecoder&) = delete;

    // The batch is finished. columns gets one Column for each of the stream; those that are used,
    // but for the generated ones, are filled with one row a message, the others are left alone.
    // Texts point into the batch, the arena and the decoder. Columns from the message's metadata
    // are filled for kUnsure rows too. Throws std::bad_alloc.
    //
    // kOpaque: a value makes the row kUnsure. A NULL for one that is not_null does too, so that
    // the caller can hand down a domain, which has a say about NULL, as kOpaque and not_null.
    void decode(const MessageBatch& batch, Arena& arena, std::vector<Column>& columns,
                std::vector<RowState>& rows);

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace anomaly
