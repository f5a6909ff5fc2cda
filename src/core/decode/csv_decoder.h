// Makes columns of CSV messages: each line is a row, its fields are the stream's columns in their
// order, read by the columns' types. One owner, one thread.
#pragma once

#include <vector>

#include "core/decode/csv_lines.h"
#include "core/decode/decoder.h"
#include "core/decode/metadata.h"
#include "core/decode/text_fields.h"

namespace anomaly {

class CsvDecoder : public Decoder {
  public:
    CsvDecoder(const StreamSpec& stream, bool database_is_utf8);

    void decode(const MessageBatch& batch, Arena& arena, std::vector<Column>& columns,
                MessageRows& rows) override;
    TextField field(int32_t row, int32_t column) const override { return text_.kept(row, column); }

  private:
    void decode_message(int32_t message, Arena& arena, MessageRows& rows);
    void fail(int32_t message, int32_t first_row, std::string_view reason, MessageRows& rows);

    CsvDialect dialect_;
    bool has_header_;
    TextFields text_;
    MetadataColumns metadata_;
    std::vector<TextField> line_;
};

}  // namespace anomaly
