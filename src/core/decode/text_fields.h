// Rows of fields that are texts, for formats without types of their own: what a column's input
// function makes of its field, where that is certain. The fields of other rows are kept for
// PostgreSQL. One owner, one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/data/column.h"
#include "core/data/message_rows.h"
#include "core/decode/value_reader.h"
#include "core/spec.h"

namespace anomaly {

using TextField = std::optional<std::string_view>;  // nullopt: NULL

class TextFields {
  public:
    TextFields(const StreamSpec& stream, bool database_is_utf8);
    TextFields(const TextFields&) = delete;
    TextFields& operator=(const TextFields&) = delete;

    bool is_bytes(size_t field) const { return fields_[field].reader.type() == Type::kBytea; }
    size_t count() const { return fields_.size(); }  // of a row, in the order of the columns

    // A batch: makes its columns, without rows.
    void begin(std::vector<Column>& columns, Arena& arena);
    // Could the text of a message be anything but certain text in the database's encoding?
    bool is_certain(std::string_view text) const;
    // is_certain: of the message the fields are of. They live as long as the batch.
    void add_row(MessageRows& rows, int32_t message, const std::vector<TextField>& fields,
                 bool is_certain);
    // A row without fields, for a message that has none.
    void add_bad(MessageRows& rows, int32_t message, std::string_view reason);
    void truncate(MessageRows& rows, int32_t count);
    // Takes the fields out of rows that are not good (a metadata column may have made them so).
    void clear_bad(const MessageRows& rows);

    // Of a row that is kUnsure.
    TextField kept(int32_t row, int32_t column) const;

  private:
    struct Item {
        size_t column;
        ValueReader reader;
        bool not_null;
        bool used;
        std::string null_reason;
    };

    int32_t append_row(MessageRows& rows, int32_t message);
    RowState read_row(const std::vector<TextField>& fields, int32_t row);
    bool read_field(const Item& item, const TextField& field, int32_t row);
    void clear(int32_t row);

    bool database_is_utf8_;
    bool are_raw_;  // bytea takes the bytes themselves, not a text that describes them
    Zone zone_;
    std::vector<Item> fields_;
    std::vector<size_t> filled_;  // the columns that are filled, metadata too
    std::vector<Type> types_;     // of all columns
    Arena* arena_ = nullptr;
    std::vector<Column>* columns_ = nullptr;
    std::vector<TextField> kept_;
    std::vector<int32_t> kept_at_;  // by row: of its first field in kept_, -1: none
};

}  // namespace anomaly
