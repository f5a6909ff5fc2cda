// The columns of a stream that come from a message's envelope (topic, partition, offset, timestamp,
// key, headers) and not from its value. The same for every format. One owner, one thread.
#pragma once

#include <string>
#include <vector>

#include "core/data/column.h"
#include "core/data/message_rows.h"
#include "core/spec.h"

namespace anomaly {

class MetadataColumns {
  public:
    // database_is_utf8: otherwise a key that is not ASCII is no text.
    MetadataColumns(const StreamSpec& stream, bool database_is_utf8);

    // Fills the used metadata columns (which have an entry for each row, all NULL) and marks rows
    // kBad whose envelope does not fit. Texts point into the batch and into this object.
    void decode(MessageRows& rows, std::vector<Column>& columns) const;

  private:
    struct Item {
        size_t column;
        Source source;
        bool not_null;
        bool used;
    };
    // nullptr, or why the message is bad.
    const char* decode_item(const Item& item, MessageRows& rows, int32_t row, Column& column) const;
    const char* decode_key(const Item& item, MessageRows& rows, int32_t row, Column& column) const;
    const char* decode_headers(const Item& item, MessageRows& rows, int32_t row,
                               Column& column) const;
    bool is_for_postgres(std::string_view text, RowState& state) const;

    std::string topic_;
    std::vector<Item> items_;
    bool database_is_utf8_;
};

}  // namespace anomaly
