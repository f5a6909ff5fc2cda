#include "core/decode/json_decoder.h"

#include <simdjson.h>

#include <cstring>
#include <string>

#include "core/data/utf8.h"
#include "core/decode/field_tree.h"
#include "core/decode/json_fields.h"
#include "core/decode/json_scalar.h"
#include "core/decode/json_shape.h"
#include "core/decode/metadata.h"

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
char first_character(std::string_view value) {
    while (!value.empty() && is_space(value.front())) value.remove_prefix(1);
    return value.empty() ? '\0' : value.front();
}

}  // namespace

// Functions that return bool return false where PostgreSQL has to judge the message.
class JsonDecoder::Impl {
  public:
    Impl(const StreamSpec& stream, bool database_is_utf8);
    void decode(const MessageBatch& batch, Arena& arena, std::vector<Column>& columns,
                MessageRows& rows);

  private:
    RowState decode_message(std::string_view value);
    void decode_to_rows(int32_t message);
    bool read_by_shape(std::string_view value);
    bool read_document(std::string_view value);
    bool read_root(std::string_view value, ondemand::document& document);
    bool read_object(ondemand::object& object, FieldNode* node, int level);
    bool read_array(ondemand::array& array, int level);
    bool read_rows(ondemand::value& value, int level);
    bool read_field(ondemand::value& value, FieldNode& node, int level);
    // Objects and arrays for the columns of the node; its children may want what is in them.
    bool read_container(ondemand::value& value, std::string_view token, FieldNode& node, int level);
    // A value without a meaning for the stream: it is only checked.
    bool skip_value(ondemand::value& value, int level);
    bool read_key(ondemand::field& field, std::string_view* key) const;
    void begin_row();

    bool has_rows_;
    bool rows_are_native_;
    FieldTree tree_;          // of a row; without rows of the message
    FieldTree message_tree_;  // with rows: of the message around them
    JsonShape shape_;
    JsonFields fields_;
    MetadataColumns metadata_;
    ondemand::parser parser_;
    bool database_is_utf8_;
    // Of the message at hand:
    const char* value_end_ = nullptr;
    ondemand::document* document_ = nullptr;
    int32_t message_ = 0;
    MessageRows* rows_ = nullptr;
    bool is_learnable_ = false;  // its shape tells all that its fields need
};

JsonDecoder::Impl::Impl(const StreamSpec& stream, bool database_is_utf8)
    : has_rows_(stream.has_rows),
      rows_are_native_(stream.rows_are_native),
      tree_(stream, false),
      message_tree_(stream, true),
      fields_(stream, database_is_utf8),
      metadata_(stream, database_is_utf8),
      database_is_utf8_(database_is_utf8) {}

void JsonDecoder::Impl::decode(const MessageBatch& batch, Arena& arena,
                               std::vector<Column>& columns, MessageRows& rows) {
    rows_ = &rows;
    fields_.begin(columns, arena, has_rows_ ? 0 : batch.size());
    if (has_rows_) {
        rows.clear(batch);
        for (int32_t m = 0; m < batch.size(); m++) decode_to_rows(m);
    } else {
        rows.assign_each(batch);
        for (int32_t row = 0; row < batch.size(); row++) {
            message_ = row;
            fields_.set_row(row);
            rows.state(row) = decode_message(batch.value(row));
        }
    }
    metadata_.decode(rows, columns);
    for (int32_t row = 0; row < rows.size(); row++) {
        if (rows.state(row).status != RowStatus::kGood) fields_.clear(row);
    }
}

// A message that is not good leaves one row behind, without fields.
void JsonDecoder::Impl::decode_to_rows(int32_t message) {
    const int32_t first = rows_->size();
    message_ = message;
    RowState state{RowStatus::kUnsure, nullptr};
    if (rows_are_native_ || (*rows_->batch)[message].value_size <= 0) {
        state = decode_message(rows_->batch->value(message));
    }
    if (state.status == RowStatus::kGood) {
        fields_.spread_message_fields(first, rows_->size());
        return;
    }
    rows_->truncate(first);
    fields_.truncate(first);
    begin_row();
    rows_->state(first) = state;
}

void JsonDecoder::Impl::begin_row() {
    fields_.append_row();
    fields_.set_row(rows_->add(message_));
}

RowState JsonDecoder::Impl::decode_message(std::string_view value) {
    if ((*rows_->batch)[message_].value_size < 0) return {RowStatus::kBad, "null message"};
    if (value.empty()) return {RowStatus::kBad, "empty message"};
    fields_.begin_message();
    if (!has_rows_) {
        if (read_by_shape(value)) return fields_.check_nulls();
        // What a first attempt has stored counts for nothing.
        fields_.begin_message();
        fields_.clear(message_);
    }
    if (!read_document(value)) return {RowStatus::kUnsure, nullptr};
    if (is_learnable_) shape_.finish(value);
    return fields_.check_nulls();
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
        if (slot.node != nullptr && !fields_.take_scalar(*slot.node, scalar)) return false;
        value.remove_prefix(scalar.token.size());
    }
    return value == shape_.tail();
}

bool JsonDecoder::Impl::read_document(std::string_view value) {
    if (!tree_.names_are_plain() || !message_tree_.names_are_plain()) return false;
    if (value.size() > kLargestMessageBytes) return false;
    if (!database_is_utf8_ && !is_ascii(value)) return false;
    value_end_ = value.data() + value.size();
    shape_.begin();
    is_learnable_ = !has_rows_;
    ondemand::document document;
    // Finds all tokens; fails for invalid UTF-8 and control characters in strings, anywhere.
    simdjson::padded_string_view padded(value.data(), value.size(),
                                        value.size() + MessageBatch::kPadding);
    if (parser_.iterate(padded).get(document) != simdjson::SUCCESS) return false;
    document_ = &document;
    if (!read_root(value, document)) return false;
    // Nothing may follow the object.
    return document.current_location().error() == simdjson::OUT_OF_BOUNDS;
}

bool JsonDecoder::Impl::read_root(std::string_view value, ondemand::document& document) {
    FieldNode* root = has_rows_ ? message_tree_.root() : tree_.root();
    // A column of the whole message: its end is not found while it is read.
    if (!root->columns.empty()) return false;
    ondemand::value whole;
    if (root->holds_rows) {
        return first_character(value) == '[' &&
               document.get_value().get(whole) == simdjson::SUCCESS && read_rows(whole, 1);
    }
    ondemand::object object;
    return first_character(value) == '{' &&
           document.get_object().get(object) == simdjson::SUCCESS && read_object(object, root, 1);
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
        if (child->seen_in == fields_.scope()) return false;
        child->seen_in = fields_.scope();
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

bool JsonDecoder::Impl::read_rows(ondemand::value& value, int level) {
    if (level > kDeepestLevel) return false;
    ondemand::array array;
    if (value.get_array().get(array) != simdjson::SUCCESS) return false;
    FieldNode& root = *tree_.root();
    for (auto result : array) {
        ondemand::value element;
        if (std::move(result).get(element) != simdjson::SUCCESS) return false;
        // Only an object has fields; whether the others do is PostgreSQL's to say.
        if (!root.children.empty() && trim_end(element.raw_json_token()) != "{") return false;
        begin_row();
        const int64_t outer = fields_.begin_scope();
        if (!read_field(element, root, level)) return false;
        fields_.end_row(outer);
    }
    return true;
}

bool JsonDecoder::Impl::read_field(ondemand::value& value, FieldNode& node, int level) {
    std::string_view token = trim_end(value.raw_json_token());
    if (node.holds_rows) {
        return token == "[" && node.columns.empty() && node.children.empty() &&
               read_rows(value, level + 1);
    }
    if (token == "{" || token == "[") return read_container(value, token, node, level);
    JsonScalar scalar;
    if (!token_to_scalar(token, &scalar) || !fields_.take_scalar(node, scalar)) return false;
    shape_.add(token, &node);
    // A string is taken before simdjson skips it, or it would skip a colon behind it too.
    return token[0] != '"' || value.get_raw_json_string().error() == simdjson::SUCCESS;
}

bool JsonDecoder::Impl::read_container(ondemand::value& value, std::string_view token,
                                       FieldNode& node, int level) {
    if (!node.columns.empty() && !fields_.take_containers(node)) return false;
    const char* begin = token.data();
    if (token == "{") {
        ondemand::object object;
        if (value.get_object().get(object) != simdjson::SUCCESS) return false;
        FieldNode* inner = node.children.empty() ? nullptr : &node;
        if (!read_object(object, inner, level + 1)) return false;
    } else {
        ondemand::array array;
        if (!node.children.empty() || value.get_array().get(array) != simdjson::SUCCESS ||
            !read_array(array, level + 1)) {
            return false;
        }
    }
    if (node.columns.empty()) return true;
    is_learnable_ = false;
    const char* end = nullptr;
    if (document_->current_location().get(end) != simdjson::SUCCESS) return false;
    std::string_view text = trim_end({begin, static_cast<size_t>(end - begin)});
    return fields_.store_container(node, text);
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

JsonDecoder::JsonDecoder(const StreamSpec& stream, bool database_is_utf8)
    : impl_(std::make_unique<Impl>(stream, database_is_utf8)) {}

JsonDecoder::~JsonDecoder() = default;

void JsonDecoder::decode(const MessageBatch& batch, Arena& arena, std::vector<Column>& columns,
                         MessageRows& rows) {
    impl_->decode(batch, arena, columns, rows);
}

}  // namespace anomaly
