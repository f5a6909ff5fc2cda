// The whole message as the value of one column: its bytes for bytea, otherwise the text that the
// column's type reads. A null message is NULL. One owner, one thread.
#pragma once

#include <vector>

#include "core/decode/decoder.h"
#include "core/decode/metadata.h"
#include "core/decode/text_fields.h"

namespace anomaly {

class RawDecoder : public Decoder {
  public:
    RawDecoder(const StreamSpec& stream, bool database_is_utf8);

    void decode(const MessageBatch& batch, Arena& arena, std::vector<Column>& columns,
                MessageRows& rows) override;
    TextField field(int32_t row, int32_t column) const override { return text_.kept(row, column); }

  private:
    TextFields text_;
    MetadataColumns metadata_;
    std::vector<TextField> whole_;
};

}  // namespace anomaly
