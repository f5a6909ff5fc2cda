#include "core/decode/csv_decoder.h"

#include <string>

namespace anomaly {
namespace {

std::string count_of(size_t number, const char* one, const char* many) {
    return std::to_string(number) + " " + (number == 1 ? one : many);
}

}  // namespace

CsvDecoder::CsvDecoder(const StreamSpec& stream, bool database_is_utf8)
    : dialect_(stream.csv),
      has_header_(stream.csv.has_header),
      text_(stream, database_is_utf8),
      metadata_(stream, database_is_utf8) {}

void CsvDecoder::decode(const MessageBatch& batch, Arena& arena, std::vector<Column>& columns,
                        MessageRows& rows) {
    rows.clear(batch);
    text_.begin(columns, arena);
    for (int32_t m = 0; m < batch.size(); m++) decode_message(m, arena, rows);
    metadata_.decode(rows, columns);
    text_.clear_bad(rows);
}

// Good or bad as a whole: a broken line leaves one bad row of the message.
void CsvDecoder::decode_message(int32_t message, Arena& arena, MessageRows& rows) {
    const int32_t first = rows.size();
    if ((*rows.batch)[message].value_size < 0) return fail(message, first, "null message", rows);
    std::string_view text = rows.batch->value(message);
    if (text.empty()) return fail(message, first, "empty message", rows);
    CsvLines lines(dialect_, text, arena);
    if (has_header_) lines.next(line_);
    const bool is_certain = text_.is_certain(text);
    for (size_t number = 1; lines.next(line_); number++) {
        if (line_.size() != text_.count()) {
            return fail(message, first,
                        "line " + std::to_string(number) + " has " +
                            count_of(line_.size(), "field", "fields") + ", the stream has " +
                            count_of(text_.count(), "column", "columns") + " for them",
                        rows);
        }
        text_.add_row(rows, message, line_, is_certain);
    }
    if (lines.error() != nullptr) fail(message, first, lines.error(), rows);
}

void CsvDecoder::fail(int32_t message, int32_t first_row, std::string_view reason,
                      MessageRows& rows) {
    text_.truncate(rows, first_row);
    text_.add_bad(rows, message, reason);
}

}  // namespace anomaly
