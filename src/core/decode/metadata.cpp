#include "core/decode/metadata.h"

#include "core/data/utf8.h"

namespace anomaly {
namespace {

constexpr int64_t kPostgresEpoch_ms = int64_t{10957} * 86'400'000;  // 2000-01-01 since 1970
constexpr int64_t kEndTime_ms =
    9'224'318'016'000'000;  // the year 294277, where PostgreSQL's timestamps end

const char* decode_timestamp(int64_t timestamp_ms, bool not_null, bool used, int32_t row,
                             Column& column) {
    if (timestamp_ms == -1) return not_null ? "message timestamp is null" : nullptr;
    if (timestamp_ms < 0 || timestamp_ms >= kEndTime_ms) return "message timestamp out of range";
    if (used) column.set_int(row, (timestamp_ms - kPostgresEpoch_ms) * 1000);
    return nullptr;
}

}  // namespace

MetadataColumns::MetadataColumns(const StreamSpec& stream, bool database_is_utf8)
    : topic_(stream.topic), database_is_utf8_(database_is_utf8) {
    for (int32_t c = 0; c < stream.column_count; c++) {
        const StreamColumnSpec& column = stream.columns[c];
        if (column.source == Source::kField || column.source == Source::kGenerated) continue;
        items_.push_back({static_cast<size_t>(c), column.source, column.not_null, column.used});
    }
}

void MetadataColumns::decode(MessageRows& rows, std::vector<Column>& columns) const {
    for (const Item& item : items_) {
        Column& column = columns[item.column];
        for (int32_t row = 0; row < rows.size(); row++) {
            const char* reason = decode_item(item, rows, row, column);
            RowState& state = rows.state(row);
            if (reason == nullptr || state.status == RowStatus::kBad) continue;
            state = {RowStatus::kBad, reason};
        }
    }
}

const char* MetadataColumns::decode_item(const Item& item, MessageRows& rows, int32_t row,
                                         Column& column) const {
    const Message& message = rows.message(row);
    switch (item.source) {
        case Source::kTimestamp:
            return decode_timestamp(message.timestamp_ms, item.not_null, item.used, row, column);
        case Source::kKey:
            return decode_key(item, rows, row, column);
        case Source::kHeaders:
            return decode_headers(item, rows, row, column);
        case Source::kTopic:
            if (item.used) column.set_text(row, topic_);
            return nullptr;
        case Source::kPartition:
            if (item.used) column.set_int(row, message.partition);
            return nullptr;
        default:  // kOffset
            if (item.used) column.set_int(row, message.offset);
            return nullptr;
    }
}

const char* MetadataColumns::decode_key(const Item& item, MessageRows& rows, int32_t row,
                                        Column& column) const {
    if (rows.message(row).key_size < 0) return item.not_null ? "message key is null" : nullptr;
    std::string_view key = rows.batch->key(rows.message_at(row));
    if (!is_utf8(key) || key.find('\0') != std::string_view::npos) {
        return "message key is not text in UTF-8";
    }
    if (is_for_postgres(key, rows.state(row))) return nullptr;
    if (item.used) column.set_text(row, key);
    return nullptr;
}

const char* MetadataColumns::decode_headers(const Item& item, MessageRows& rows, int32_t row,
                                            Column& column) const {
    std::string_view headers = rows.batch->headers(rows.message_at(row));
    if (headers.empty()) headers = "{}";
    if (!is_utf8(headers) || headers.find("\\u0000") != std::string_view::npos) {
        return "message headers are not text in UTF-8";
    }
    if (is_for_postgres(headers, rows.state(row))) return nullptr;
    if (item.used) column.set_text(row, headers);
    return nullptr;
}

// Only PostgreSQL knows its other encodings.
bool MetadataColumns::is_for_postgres(std::string_view text, RowState& state) const {
    if (database_is_utf8_ || is_ascii(text)) return false;
    if (state.status == RowStatus::kGood) state.status = RowStatus::kUnsure;
    return true;
}

}  // namespace anomaly
