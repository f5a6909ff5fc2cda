#include "core/json_decoder.h"

#include <simdjson.h>

#include <cstring>
#include <string>

#include "core/field_tree.h"
#include "core/json_scalar.h"
#include "core/json_shape.h"
#include "core/metadata.h"
#include "core/utf8.h"

namespace anomaly {
namespace {

namespace ondemand = simdjson::ondemand;

static_assert(MessageBatch::kPadding >= simdjson::SIMDJSON_PADDING);

// Larger messages and deeper ones are for PostgreSQL: they bound simdjson's memory and our stack.
constexpr size_t kLargestMessageBytes = size_t{4} << 20;
constexpr int kDeepestLevel = 64;

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// A scalar's token reaches up to the next token, so it may have white space behind it.
std::string_view trim_end(std::string_view token) {
    while (!token.empty() && is_space(token.back())) token.remove_suffix(1);
    return token;
}

// simdjson skips a byte order mark and takes a scalar for a document; PostgreSQL does not.
bool begins_as_object(std::string_view value) {
    while (!value.empty() && is_space(value.front())) value.remove_prefix(1);
    return !value.empty() && value.front() == '{';
}

}  // namespace

// Functions that return bool return false where PostgreSQL has to judge the message.
class JsonDecoder::Impl {
  public:
    Impl(const StreamSpec& stream, bool database_is_utf8);
    void decode(const MessageBatch& batch, Arena& arena, std::vector<Column>& columns,
                MessageRows& rows);

  private:
    struct Item {  // one column of the stream
        Type type;
        Source source;
        bool not_null;
        bool used;
        int64_t filled_in = 0;  // number of the last message that had a value for it
        std::string null_reason{};
    };

    void prepare(int32_t row_count, std::vector<Column>& columns) const;
    RowState decode_message(const MessageBatch& batch, int32_t row);
    bool read_by_shape(std::string_view value);
    void forget_message();
    bool read_document(std::string_view value);
    bool read_object(ondemand::object& object, FieldNode* node, int level);
    bool read_array(ondemand::array& array, int level);
    bool read_field(ondemand::value& value, FieldNode& node, int level);
    // A value without a meaning for the stream: it is only checked.
    bool skip_value(ondemand::value& value, int level);
    bool read_key(ondemand::field& field, std::string_view* key) const;
    bool take_scalar(const FieldNode& node, const JsonScalar& scalar);
    bool store(size_t column, const JsonScalar& scalar);
    RowState check_nulls() const;
    void clear_fields(int32_t row, std::vector<Column>& columns) const;

    FieldTree tree_;
    JsonShape shape_;
    MetadataColumns metadata_;
    std::vector<Item> items_;
    ondemand::parser parser_;
    bool database_is_utf8_;
    int64_t message_number_ = 0;  // tells marks of this message from those of earlier ones
    // Of the message at hand:
    const char* value_end_ = nullptr;
    int32_t row_ = 0;
    Arena* arena_ = nullptr;
    std::vector<Column>* columns_ = nullptr;
};

JsonDecoder::Impl::Impl(const StreamSpec& stream, bool database_is_utf8)
    : tree_(stream), metadata_(stream, database_is_utf8), database_is_utf8_(database_is_utf8) {
    for (int32_t c = 0; c < stream.column_count; c++) {
        const StreamColumnSpec& spec = stream.columns[c];
        Item item{spec.type, spec.source, spec.not_null, spec.used};
        if (spec.source == Source::kField && spec.path_count > 0) {
            item.null_reason =
                std::string("null value in column \"") + spec.path[spec.path_count - 1] + "\"";
        }
        items_.push_back(std::move(item));
    }
}

void JsonDecoder::Impl::decode(const MessageBatch& batch, Arena& arena,
                               std::vector<Column>& columns, MessageRows& rows) {
    prepare(batch.size(), columns);
    arena_ = &arena;
    columns_ = &columns;
    rows.assign_each(batch);
    for (int32_t row = 0; row < batch.size(); row++) rows.state(row) = decode_message(batch, row);
    metadata_.decode(rows, columns);
    for (int32_t row = 0; row < batch.size(); row++) {
        if (rows.state(row).status != RowStatus::kGood) clear_fields(row, columns);
    }
}

void JsonDecoder::Impl::prepare(int32_t row_count, std::vector<Column>& columns) const {
    if (columns.size() != items_.size()) {
        columns.clear();
        for (const Item& item : items_) columns.emplace_back(item.type);
    }
    for (size_t c = 0; c < items_.size(); c++) {
        bool ours = items_[c].used && items_[c].source != Source::kGenerated;
        if (ours) columns[c].assign_nulls(row_count);
    }
}

RowState JsonDecoder::Impl::decode_message(const MessageBatch& batch, int32_t row) {
    if (batch[row].value_size < 0) return {RowStatus::kBad, "null message"};
    if (batch[row].value_size == 0) return {RowStatus::kBad, "empty message"};
    message_number_++;
    row_ = row;
    std::string_view value = batch.value(row);
    if (read_by_shape(value)) return check_nulls();
    forget_message();
    if (!read_document(value)) return {RowStatus::kUnsure, nullptr};
    shape_.finish(value);
    return check_nulls();
}

// The quick way, for a message that has the layout of an earlier one. False: read it in full.
bool JsonDecoder::Impl::read_by_shape(std::string_view value) {
    if (!shape_.is_known() || value.size() > kLargestMessageBytes) return false;
    for (const JsonShape::Slot& slot : shape_.slots()) {
        if (!value.starts_with(slot.literal)) return false;
        value.remove_prefix(slot.literal.size());
        JsonScalar scalar;
        if (!read_json_scalar(value, &scalar)) return false;
        if (scalar.token[0] == '"' && !scalar.is_ascii &&
            !(database_is_utf8_ && is_utf8(scalar.token))) {
            return false;
        }
        if (slot.node != nullptr && !take_scalar(*slot.node, scalar)) return false;
        value.remove_prefix(scalar.token.size());
    }
    return value == shape_.tail();
}

// What a first attempt has stored counts for nothing.
void JsonDecoder::Impl::forget_message() {
    message_number_++;
    clear_fields(row_, *columns_);
}

bool JsonDecoder::Impl::read_document(std::string_view value) {
    if (!tree_.names_are_plain() || value.size() > kLargestMessageBytes) return false;
    if (!begins_as_object(value)) return false;
    if (!database_is_utf8_ && !is_ascii(value)) return false;
    value_end_ = value.data() + value.size();
    shape_.begin();
    ondemand::document document;
    // Finds all tokens; fails for invalid UTF-8 and control characters in strings, anywhere.
    simdjson::padded_string_view padded(value.data(), value.size(),
                                        value.size() + MessageBatch::kPadding);
    if (parser_.iterate(padded).get(document) != simdjson::SUCCESS) return false;
    ondemand::object object;
    if (document.get_object().get(object) != simdjson::SUCCESS) return false;
    if (!read_object(object, tree_.root(), 1)) return false;
    // Nothing may follow the object.
    return document.current_location().error() == simdjson::OUT_OF_BOUNDS;
}

// node == nullptr: no column names anything in the object.
bool JsonDecoder::Impl::read_object(ondemand::object& object, FieldNode* node, int level) {
    if (level > kDeepestLevel) return false;
    FieldNode* previous = nullptr;
    for (auto result : object) {
        ondemand::field field;
        if (std::move(result).get(field) != simdjson::SUCCESS) return false;
        FieldNode* child = nullptr;
        if (node != nullptr) {
            std::string_view key;
            if (!read_key(field, &key)) return false;
            child = FieldTree::find(*node, previous, key);
        }
        if (child == nullptr) {
            if (!skip_value(field.value(), level)) return false;
            continue;
        }
        // The last of duplicate keys counts, with all that is in it: rare, so not decided here.
        if (child->seen_in == message_number_) return false;
        child->seen_in = message_number_;
        previous = child;
        if (!read_field(field.value(), *child, level)) return false;
    }
    return true;
}

bool JsonDecoder::Impl::read_array(ondemand::array& array, int level) {
    if (level > kDeepestLevel) return false;
    for (auto result : array) {
        ondemand::value value;
        if (std::move(result).get(value) != simdjson::SUCCESS) return false;
        if (!skip_value(value, level)) return false;
    }
    return true;
}

bool JsonDecoder::Impl::read_field(ondemand::value& value, FieldNode& node, int level) {
    std::string_view token = trim_end(value.raw_json_token());
    if (token == "{") {
        ondemand::object object;
        return node.columns.empty() && value.get_object().get(object) == simdjson::SUCCESS &&
               read_object(object, &node, level + 1);
    }
    JsonScalar scalar;
    if (!token_to_scalar(token, &scalar) || !take_scalar(node, scalar)) return false;
    shape_.add(token, &node);
    // A string is taken before simdjson skips it, or it would skip a colon behind it too.
    return token[0] != '"' || value.get_raw_json_string().error() == simdjson::SUCCESS;
}

bool JsonDecoder::Impl::skip_value(ondemand::value& value, int level) {
    std::string_view token = trim_end(value.raw_json_token());
    if (token == "{") {
        ondemand::object object;
        return value.get_object().get(object) == simdjson::SUCCESS &&
               read_object(object, nullptr, level + 1);
    }
    if (token == "[") {
        ondemand::array array;
        return value.get_array().get(array) == simdjson::SUCCESS && read_array(array, level + 1);
    }
    JsonScalar scalar;
    if (!token_to_scalar(token, &scalar)) return false;
    shape_.add(token, nullptr);
    return token[0] != '"' || value.get_raw_json_string().error() == simdjson::SUCCESS;
}

// A key with an escape could be any column's name.
bool JsonDecoder::Impl::read_key(ondemand::field& field, std::string_view* key) const {
    const char* begin = field.key().raw();
    auto left = static_cast<size_t>(value_end_ - begin);
    const void* quote = std::memchr(begin, '"', left);
    if (quote == nullptr) return false;
    *key = {begin, static_cast<size_t>(static_cast<const char*>(quote) - begin)};
    return key->find('\\') == std::string_view::npos;
}

bool JsonDecoder::Impl::take_scalar(const FieldNode& node, const JsonScalar& scalar) {
    if (scalar.token[0] == 'n') return true;  // null: all columns here and below stay NULL
    if (!node.children.empty()) return false;
    for (int32_t column : node.columns) {
        if (!store(static_cast<size_t>(column), scalar)) return false;
    }
    return true;
}

bool JsonDecoder::Impl::store(size_t column, const JsonScalar& scalar) {
    Item& item = items_[column];
    Column& to = (*columns_)[column];
    item.filled_in = message_number_;
    if (item.type == Type::kText) {
        std::string_view token = scalar.token;
        if (token[0] != '"') return false;
        std::string_view text = token.substr(1, token.size() - 2);
        if (!scalar.is_plain && !unescape_json_string(text, !database_is_utf8_, *arena_, &text)) {
            return false;
        }
        if (item.used) to.set_text(row_, text);
        return true;
    }
    uint64_t cell = 0;
    if (!scalar_to_cell(item.type, scalar, &cell)) return false;
    if (item.used) to.set_int(row_, static_cast<int64_t>(cell));
    return true;
}

RowState JsonDecoder::Impl::check_nulls() const {
    RowState state;
    for (const Item& item : items_) {
        if (item.source != Source::kField || !item.not_null) continue;
        if (item.filled_in == message_number_) continue;
        if (item.type != Type::kOpaque) return {RowStatus::kBad, item.null_reason.c_str()};
        state.status = RowStatus::kUnsure;
    }
    return state;
}

void JsonDecoder::Impl::clear_fields(int32_t row, std::vector<Column>& columns) const {
    for (size_t c = 0; c < items_.size(); c++) {
        if (items_[c].source == Source::kField && items_[c].used) columns[c].set_null(row);
    }
}

JsonDecoder::JsonDecoder(const StreamSpec& stream, bool database_is_utf8)
    : impl_(std::make_unique<Impl>(stream, database_is_utf8)) {}

JsonDecoder::~JsonDecoder() = default;

void JsonDecoder::decode(const MessageBatch& batch, Arena& arena, std::vector<Column>& columns,
                         MessageRows& rows) {
    impl_->decode(batch, arena, columns, rows);
}

}  // namespace anomaly
