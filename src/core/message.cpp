#include "core/message.h"

namespace anomaly {
namespace {

// Appends the bytes and returns their place.
size_t append(std::vector<char>& buffer, const void* bytes, int32_t size) {
    size_t at = buffer.size();
    if (size > 0) {
        const char* from = static_cast<const char*>(bytes);
        buffer.insert(buffer.end(), from, from + size);
    }
    return at;
}

}  // namespace

void MessageBatch::clear() {
    messages_.clear();
    buffer_.clear();
}

void MessageBatch::add(int32_t partition, int64_t offset, int64_t timestamp_ms, const void* value,
                       int32_t value_size, const void* key, int32_t key_size) {
    Message message{};
    message.partition = partition;
    message.value_size = value_size;
    message.key_size = key_size;
    message.offset = offset;
    message.timestamp_ms = timestamp_ms;
    message.value_at = append(buffer_, value, value_size);
    message.key_at = append(buffer_, key, key_size);
    messages_.push_back(message);
}

void MessageBatch::finish() {
    buffer_.insert(buffer_.end(), kPadding, '\0');
}

std::string_view MessageBatch::value(int32_t i) const {
    const Message& message = (*this)[i];
    if (message.value_size < 0) return {};
    return {buffer_.data() + message.value_at, static_cast<size_t>(message.value_size)};
}

std::string_view MessageBatch::key(int32_t i) const {
    const Message& message = (*this)[i];
    if (message.key_size < 0) return {};
    return {buffer_.data() + message.key_at, static_cast<size_t>(message.key_size)};
}

}  // namespace anomaly
