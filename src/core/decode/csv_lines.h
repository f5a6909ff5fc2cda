// Takes CSV apart as COPY does: fields, quotes, escapes, lines. One owner, one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/data/column.h"
#include "core/decode/text_fields.h"
#include "core/spec.h"

namespace anomaly {

struct CsvDialect {
    explicit CsvDialect(const CsvSpec& spec)
        : delimiter(spec.delimiter),
          quote(spec.quote),
          escape(spec.escape),
          null_text(spec.null_text == nullptr ? "" : spec.null_text) {}
    char delimiter;
    char quote;
    char escape;
    std::string null_text;
};

class CsvLines {
  public:
    // Fields without quotes point into the text, the others into the arena.
    CsvLines(const CsvDialect& dialect, std::string_view text, Arena& arena)
        : dialect_(dialect), text_(text), arena_(arena) {}

    // The fields of the next line; false: there is none, or it is broken.
    bool next(std::vector<TextField>& fields);
    // nullptr: nothing was broken.
    const char* error() const { return error_; }

  private:
    bool at_end() const { return at_ == text_.size(); }
    bool read_field(std::vector<TextField>& fields);
    bool read_quoted();
    void take_plain();
    void put(std::string_view bytes);
    // True at the end of a line, which is then read over.
    bool end_of_line();

    const CsvDialect& dialect_;
    std::string_view text_;
    Arena& arena_;
    size_t at_ = 0;
    const char* error_ = nullptr;
    char* buffer_ = nullptr;  // of the size of the text: quotes only make fields shorter
    size_t buffer_used_ = 0;
    // Of the field at hand:
    std::string_view field_;
    bool is_quoted_ = false;
};

}  // namespace anomaly
