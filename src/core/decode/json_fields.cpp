#include "core/decode/json_fields.h"

namespace anomaly {

JsonFields::JsonFields(const StreamSpec& stream, bool database_is_utf8)
    : has_rows_(stream.has_rows), database_is_utf8_(database_is_utf8), zone_(stream.zone) {
    for (int32_t c = 0; c < stream.column_count; c++) {
        const StreamColumnSpec& spec = stream.columns[c];
        Item item{ValueReader(spec, zone_), spec.source, spec.not_null, spec.used, spec.of_message};
        const char* name = spec.name;
        if (name == nullptr && spec.path_count > 0) name = spec.path[spec.path_count - 1];
        if (name != nullptr)
            item.null_reason = std::string("null value in column \"") + name + "\"";
        items_.push_back(std::move(item));
    }
}

// ---- rows ----

void JsonFields::begin(std::vector<Column>& columns, Arena& arena, int32_t row_count) {
    arena_ = &arena;
    columns_ = &columns;
    if (columns.size() != items_.size()) {
        columns.clear();
        for (const Item& item : items_) columns.emplace_back(item.reader.type());
    }
    for (size_t c = 0; c < items_.size(); c++) {
        bool ours = items_[c].used && items_[c].source != Source::kGenerated;
        if (ours) columns[c].assign_nulls(row_count);
    }
}

void JsonFields::append_row() {
    for (size_t c = 0; c < items_.size(); c++) {
        bool ours = items_[c].used && items_[c].source != Source::kGenerated;
        if (ours) (*columns_)[c].append_null();
    }
    any_rows_ = true;
}

void JsonFields::truncate(int32_t row_count) {
    for (size_t c = 0; c < items_.size(); c++) {
        bool ours = items_[c].used && items_[c].source != Source::kGenerated;
        if (ours) (*columns_)[c].truncate(row_count);
    }
}

void JsonFields::clear(int32_t row) {
    for (size_t c = 0; c < items_.size(); c++) {
        if (items_[c].source == Source::kField && items_[c].used) (*columns_)[c].set_null(row);
    }
}

// ---- scopes ----

void JsonFields::begin_message() {
    scope_ = message_scope_ = ++last_scope_;
    nulls_ = {};
    any_rows_ = !has_rows_;
}

int64_t JsonFields::begin_scope() {
    int64_t outer = scope_;
    scope_ = ++last_scope_;
    return outer;
}

void JsonFields::end_row(int64_t outer_scope) {
    look_for_nulls(false, scope_);
    scope_ = outer_scope;
}

RowState JsonFields::check_nulls() {
    if (!has_rows_) look_for_nulls(false, message_scope_);
    if (has_rows_ && any_rows_) look_for_nulls(true, message_scope_);
    return nulls_;
}

// What is certainly bad wins over what is not certain.
void JsonFields::look_for_nulls(bool of_message, int64_t scope) {
    if (nulls_.status == RowStatus::kBad) return;
    for (const Item& item : items_) {
        if (item.source != Source::kField || !item.not_null) continue;
        if (item.of_message != of_message || item.filled_in == scope) continue;
        if (item.reader.type() != Type::kOpaque) {
            nulls_ = {RowStatus::kBad, item.null_reason.c_str()};
            return;
        }
        nulls_.status = RowStatus::kUnsure;
    }
}

// ---- values ----

bool JsonFields::take_scalar(const FieldNode& node, const JsonScalar& scalar) {
    if (scalar.token[0] == 'n') return true;  // null: all columns here and below stay NULL
    if (!node.children.empty()) return false;
    for (int32_t column : node.columns) {
        if (!store(static_cast<size_t>(column), scalar)) return false;
    }
    return true;
}

bool JsonFields::store(size_t column, const JsonScalar& scalar) {
    const Item& item = items_[column];
    Value value;
    bool read = scalar.token[0] == '"' ? read_string(item, scalar, &value)
                                       : item.reader.from_json(scalar, *arena_, &value);
    if (read) keep(column, value);
    return read;
}

// Only texts have escapes that PostgreSQL's input functions would read.
bool JsonFields::read_string(const Item& item, const JsonScalar& scalar, Value* out) {
    std::string_view text = scalar.token.substr(1, scalar.token.size() - 2);
    Type type = item.reader.type();
    bool has_escapes = (type == Type::kText || type == Type::kJsonb) && !scalar.is_plain;
    if (has_escapes && !unescape_json_string(text, !database_is_utf8_, *arena_, &text)) {
        return false;
    }
    if (type != Type::kJsonb) return item.reader.from_text(text, *arena_, out);
    out->set(scalar.token);
    return true;
}

void JsonFields::keep(size_t column, const Value& value) {
    Item& item = items_[column];
    item.filled_in = scope_;
    if (item.of_message) {
        item.value = value;
    } else if (item.used) {
        store_value(value, row_, (*columns_)[column]);
    }
}

bool JsonFields::take_containers(const FieldNode& node) const {
    for (int32_t column : node.columns) {
        if (items_[static_cast<size_t>(column)].reader.type() != Type::kJsonb) return false;
    }
    return true;
}

bool JsonFields::store_container(const FieldNode& node, std::string_view text) {
    if (!json_is_certain(text, !database_is_utf8_, *arena_)) return false;
    Value value;
    value.set(text);
    for (int32_t column : node.columns) keep(static_cast<size_t>(column), value);
    return true;
}

void JsonFields::spread_message_fields(int32_t first_row, int32_t end_row) {
    for (size_t c = 0; c < items_.size(); c++) {
        const Item& item = items_[c];
        if (!item.of_message || !item.used || item.filled_in != message_scope_) continue;
        for (int32_t row = first_row; row < end_row; row++) {
            store_value(item.value, row, (*columns_)[c]);
        }
    }
}

}  // namespace anomaly
