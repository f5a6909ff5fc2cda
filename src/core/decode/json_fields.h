// The columns that fields of JSON messages fill: takes the values as the decoder finds them, and
// knows in the end which are missing. One owner, one thread.
//
// A scope is a message or, where messages hold rows, a row: what was seen or filled in an earlier
// scope counts for nothing. Functions that return bool return false where PostgreSQL has to judge
// the message.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/data/column.h"
#include "core/data/row_state.h"
#include "core/decode/field_tree.h"
#include "core/decode/json_scalar.h"
#include "core/decode/value_reader.h"
#include "core/spec.h"

namespace anomaly {

class JsonFields {
  public:
    JsonFields(const StreamSpec& stream, bool database_is_utf8);
    JsonFields(const JsonFields&) = delete;
    JsonFields& operator=(const JsonFields&) = delete;

    // A batch: makes its columns, with so many rows.
    void begin(std::vector<Column>& columns, Arena& arena, int32_t row_count);
    void append_row();
    void truncate(int32_t row_count);
    void set_row(int32_t row) { row_ = row; }
    // Makes the fields of a row NULL.
    void clear(int32_t row);

    void begin_message();
    // A row within the message: returns the scope around it, which end_row takes.
    int64_t begin_scope();
    void end_row(int64_t outer_scope);
    int64_t scope() const { return scope_; }

    bool take_scalar(const FieldNode& node, const JsonScalar& scalar);
    // Can all columns of the node take an object or array? Then store it, as it stands.
    bool take_containers(const FieldNode& node) const;
    bool store_container(const FieldNode& node, std::string_view text);

    // Fields of the message around the rows go into all of them.
    void spread_message_fields(int32_t first_row, int32_t end_row);
    // Of the message read: good, or what is missing.
    RowState check_nulls();

  private:
    struct Item {  // one column of the stream
        ValueReader reader;
        Source source;
        bool not_null;
        bool used;
        bool of_message;
        int64_t filled_in = 0;  // scope of the last value
        Value value{};          // of_message: until it is spread
        std::string null_reason{};
    };

    bool store(size_t column, const JsonScalar& scalar);
    bool read_string(const Item& item, const JsonScalar& scalar, Value* out);
    void keep(size_t column, const Value& value);
    void look_for_nulls(bool of_message, int64_t scope);

    bool has_rows_;
    bool database_is_utf8_;
    Zone zone_;
    std::vector<Item> items_;
    Arena* arena_ = nullptr;
    std::vector<Column>* columns_ = nullptr;
    int32_t row_ = 0;
    int64_t last_scope_ = 0;
    int64_t scope_ = 0;
    int64_t message_scope_ = 0;
    bool any_rows_ = false;
    RowState nulls_;  // of the message at hand, as far as it is read
};

}  // namespace anomaly
