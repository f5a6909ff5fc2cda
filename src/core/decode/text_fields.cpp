#include "core/decode/text_fields.h"

#include <algorithm>

#include "core/data/utf8.h"

namespace anomaly {

TextFields::TextFields(const StreamSpec& stream, bool database_is_utf8)
    : database_is_utf8_(database_is_utf8),
      are_raw_(stream.format == Format::kRaw),
      zone_(stream.zone) {
    for (int32_t c = 0; c < stream.column_count; c++) {
        const StreamColumnSpec& spec = stream.columns[c];
        auto column = static_cast<size_t>(c);
        types_.push_back(spec.type);
        if (spec.used && spec.source != Source::kGenerated) filled_.push_back(column);
        if (spec.source != Source::kField) continue;
        std::string name = spec.name == nullptr ? "" : spec.name;
        fields_.push_back({column, ValueReader(spec, zone_), spec.not_null, spec.used,
                           "null value in column \"" + name + "\""});
    }
}

void TextFields::begin(std::vector<Column>& columns, Arena& arena) {
    arena_ = &arena;
    columns_ = &columns;
    kept_.clear();
    kept_at_.clear();
    if (columns.size() != types_.size()) {
        columns.clear();
        for (Type type : types_) columns.emplace_back(type);
    }
    for (size_t column : filled_) columns[column].assign_nulls(0);
}

bool TextFields::is_certain(std::string_view text) const {
    bool is_text = database_is_utf8_ ? is_utf8(text) : is_ascii(text);
    return is_text && text.find('\0') == std::string_view::npos;
}

int32_t TextFields::append_row(MessageRows& rows, int32_t message) {
    for (size_t column : filled_) (*columns_)[column].append_null();
    kept_at_.push_back(-1);
    return rows.add(message);
}

void TextFields::add_row(MessageRows& rows, int32_t message, const std::vector<TextField>& fields,
                         bool is_certain) {
    int32_t row = append_row(rows, message);
    RowState state{RowStatus::kUnsure, nullptr};
    if (is_certain) state = read_row(fields, row);
    rows.state(row) = state;
    if (state.status == RowStatus::kGood) return;
    clear(row);
    if (state.status == RowStatus::kBad) return;
    kept_at_.back() = static_cast<int32_t>(kept_.size());
    kept_.insert(kept_.end(), fields.begin(), fields.end());
}

void TextFields::add_bad(MessageRows& rows, int32_t message, std::string_view reason) {
    int32_t row = append_row(rows, message);
    char* text = arena_->allocate(reason.size() + 1);
    text[reason.copy(text, reason.size())] = '\0';
    rows.state(row) = {RowStatus::kBad, text};
}

void TextFields::truncate(MessageRows& rows, int32_t count) {
    rows.truncate(count);
    kept_at_.resize(static_cast<size_t>(count));
    for (size_t column : filled_) (*columns_)[column].truncate(count);
}

RowState TextFields::read_row(const std::vector<TextField>& fields, int32_t row) {
    RowState state;
    for (size_t f = 0; f < fields_.size(); f++) {
        const Item& item = fields_[f];
        if (read_field(item, fields[f], row)) continue;
        if (!fields[f] && item.reader.type() != Type::kOpaque) {
            return {RowStatus::kBad, item.null_reason.c_str()};
        }
        state.status = RowStatus::kUnsure;
    }
    return state;
}

// False: a NULL that may not be one, or PostgreSQL has to read it.
bool TextFields::read_field(const Item& item, const TextField& field, int32_t row) {
    if (!field) return !item.not_null;
    Value value;
    if (are_raw_ && item.reader.type() == Type::kBytea) {
        value.set(*field);
    } else if (!item.reader.from_text(*field, *arena_, &value)) {
        return false;
    }
    if (item.used) store_value(value, row, (*columns_)[item.column]);
    return true;
}

void TextFields::clear(int32_t row) {
    for (const Item& item : fields_) {
        if (item.used) (*columns_)[item.column].set_null(row);
    }
}

void TextFields::clear_bad(const MessageRows& rows) {
    for (int32_t row = 0; row < rows.size(); row++) {
        if (rows.state(row).status == RowStatus::kBad) clear(row);
    }
}

TextField TextFields::kept(int32_t row, int32_t column) const {
    int32_t at = kept_at_[static_cast<size_t>(row)];
    auto item = std::find_if(fields_.begin(), fields_.end(), [&](const Item& field) {
        return field.column == static_cast<size_t>(column);
    });
    if (at < 0 || item == fields_.end()) return {};
    return kept_[static_cast<size_t>(at + (item - fields_.begin()))];
}

}  // namespace anomaly
