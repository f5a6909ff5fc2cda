#include "core/decode/raw_decoder.h"

namespace anomaly {

RawDecoder::RawDecoder(const StreamSpec& stream, bool database_is_utf8)
    : text_(stream, database_is_utf8), metadata_(stream, database_is_utf8), whole_(text_.count()) {}

void RawDecoder::decode(const MessageBatch& batch, Arena& arena, std::vector<Column>& columns,
                        MessageRows& rows) {
    rows.clear(batch);
    text_.begin(columns, arena);
    for (int32_t m = 0; m < batch.size(); m++) {
        std::string_view value = batch.value(m);
        bool is_certain = true;
        if (text_.count() > 0) {
            whole_[0] = batch[m].value_size < 0 ? TextField{} : TextField{value};
            is_certain = text_.is_bytes(0) || text_.is_certain(value);
        }
        text_.add_row(rows, m, whole_, is_certain);
    }
    metadata_.decode(rows, columns);
    text_.clear_bad(rows);
}

}  // namespace anomaly
