#include "core/decode/csv_lines.h"

namespace anomaly {

bool CsvLines::next(std::vector<TextField>& fields) {
    fields.clear();
    if (at_end() || error_ != nullptr) return false;
    do {
        if (!read_field(fields)) return false;
    } while (!end_of_line());
    return error_ == nullptr;
}

bool CsvLines::read_field(std::vector<TextField>& fields) {
    field_ = text_.substr(at_, 0);
    is_quoted_ = false;
    for (take_plain(); !at_end() && text_[at_] == dialect_.quote; take_plain()) {
        if (!read_quoted()) {
            error_ = "a quoted CSV field does not end";
            return false;
        }
    }
    if (!is_quoted_ && field_ == dialect_.null_text) {
        fields.emplace_back();
    } else {
        fields.emplace_back(field_);
    }
    return true;
}

// Up to what means something outside of quotes.
void CsvLines::take_plain() {
    size_t begin = at_;
    while (!at_end()) {
        char c = text_[at_];
        if (c == dialect_.delimiter || c == dialect_.quote || c == '\n' || c == '\r') break;
        at_++;
    }
    if (is_quoted_) {
        put(text_.substr(begin, at_ - begin));
    } else {
        field_ = text_.substr(begin, at_ - begin);
    }
}

bool CsvLines::read_quoted() {
    if (!is_quoted_) {
        is_quoted_ = true;
        if (buffer_ == nullptr) buffer_ = arena_.allocate(text_.size());
        std::string_view before = field_;
        field_ = {buffer_ + buffer_used_, 0};
        put(before);
    }
    at_++;
    while (!at_end()) {
        char c = text_[at_++];
        if (c == dialect_.escape && !at_end() &&
            (text_[at_] == dialect_.escape || text_[at_] == dialect_.quote)) {
            c = text_[at_++];
        } else if (c == dialect_.quote) {
            return true;
        }
        put({&c, 1});
    }
    return false;
}

void CsvLines::put(std::string_view bytes) {
    buffer_used_ += bytes.copy(buffer_ + buffer_used_, bytes.size());
    field_ = {field_.data(), field_.size() + bytes.size()};
}

bool CsvLines::end_of_line() {
    if (at_end()) return true;
    char c = text_[at_++];
    if (c == dialect_.delimiter) return false;
    if (c == '\n' || at_end()) return true;
    if (text_[at_] == '\n') {
        at_++;
        return true;
    }
    error_ = "there is a carriage return outside of quotes";
    return true;
}

}  // namespace anomaly
