// What a decoder of messages is, whatever their format. One owner, one thread.
#pragma once

#include <memory>
#include <vector>

#include "core/data/column.h"
#include "core/data/message_rows.h"
#include "core/decode/text_fields.h"
#include "core/spec.h"

namespace anomaly {

class Decoder {
  public:
    Decoder() = default;
    virtual ~Decoder() = default;
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    // The batch is finished. columns gets one Column for each of the stream; those that are used,
    // but for the generated ones, are filled with one entry a row, the others are left alone.
    // Texts point into the batch, the arena and the decoder. Columns from the message's metadata
    // are filled for kUnsure rows too. Throws std::bad_alloc.
    //
    // kOpaque: a value makes the row kUnsure. A NULL for one that is not_null does too, so that
    // the caller can hand down a domain, which has a say about NULL, as kOpaque and not_null.
    virtual void decode(const MessageBatch& batch, Arena& arena, std::vector<Column>& columns,
                        MessageRows& rows) = 0;

    // Formats whose fields are texts: what PostgreSQL has to read of a row that is kUnsure.
    virtual TextField field([[maybe_unused]] int32_t row, [[maybe_unused]] int32_t column) const {
        return {};
    }
};

// The decoder of the stream's format. Copies what it keeps. database_is_utf8: otherwise a message
// that is not ASCII is kUnsure.
std::unique_ptr<Decoder> make_decoder(const StreamSpec& stream, bool database_is_utf8);

}  // namespace anomaly
