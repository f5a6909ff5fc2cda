#include "core/data/row_log.h"

#include <cstring>

namespace anomaly {

const char* RowLog::copy_value(const MessageRows& rows, int32_t row) {
    const Message& message = rows.message(row);
    if (message.value_size < 0) return nullptr;
    if (message.value_size == 0) return "";
    return bytes_.copy(rows.value(row)).data();
}

const char* RowLog::copy_key(const MessageRows& rows, int32_t row) {
    const Message& message = rows.message(row);
    if (message.key_size < 0) return nullptr;
    if (message.key_size == 0) return "";
    return bytes_.copy(rows.batch->key(rows.message_at(row))).data();
}

// Rows of one message come one after the other.
bool RowLog::has_late(const Message& message, int64_t window_start) const {
    for (auto late = late_.rbegin(); late != late_.rend(); ++late) {
        if (late->partition != message.partition || late->offset != message.offset) return false;
        if (late->window_start == window_start) return true;
    }
    return false;
}

void RowLog::add_late(const MessageRows& rows, int32_t row, int64_t window_start,
                      int64_t window_end) {
    const Message& message = rows.message(row);
    if (has_late(message, window_start)) return;
    late_.push_back({message.partition, message.offset, message.timestamp_ms, window_start,
                     window_end, copy_value(rows, row), message.value_size});
}

void RowLog::add_dead(const MessageRows& rows, int32_t row, std::string_view reason) {
    const Message& message = rows.message(row);
    char* text = bytes_.allocate(reason.size() + 1);
    if (!reason.empty()) std::memcpy(text, reason.data(), reason.size());
    text[reason.size()] = '\0';
    dead_.push_back({message.partition, message.offset, message.timestamp_ms, text,
                     copy_value(rows, row), message.value_size, copy_key(rows, row),
                     message.key_size});
}

void RowLog::clear() {
    bytes_.reset();
    late_.clear();
    dead_.clear();
}

size_t RowLog::memory_bytes() const {
    return bytes_.bytes_reserved() + late_.capacity() * sizeof(LateRow) +
           dead_.capacity() * sizeof(DeadLetter);
}

}  // namespace anomaly
