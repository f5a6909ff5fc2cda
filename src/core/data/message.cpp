#include "core/data/message.h"

#include <algorithm>
#include <cstring>

namespace anomaly {
// Returns the place of the bytes. The buffer's size is what it has room for, never cleared.
size_t MessageBatch::append(const void* bytes, size_t size) {
    constexpr size_t kFirstBytes = 4096;
    size_t at = used_;
    if (buffer_.size() - at < size) {
        buffer_.resize(std::max({at + size, 2 * buffer_.size(), kFirstBytes}));
    }
    if (size > 0) std::memcpy(buffer_.data() + at, bytes, size);
    used_ += size;
    return at;
}

void MessageBatch::clear() {
    messages_.clear();
    used_ = 0;
}

void MessageBatch::add(int32_t partition, int64_t offset, int64_t timestamp_ms, const void* value,
                       int32_t value_size, const void* key, int32_t key_size) {
    Message message{};
    message.partition = partition;
    message.value_size = value_size;
    message.key_size = key_size;
    message.offset = offset;
    message.timestamp_ms = timestamp_ms;
    message.value_at = append(value, static_cast<size_t>(std::max(value_size, 0)));
    append(key, static_cast<size_t>(std::max(key_size, 0)));
    messages_.push_back(message);
}

// What belongs to a message lies together, and messages lie in their order.
void MessageBatch::add_range(const MessageBatch& other, int32_t first, int32_t end) {
    if (first >= end) return;
    const size_t from = other[first].value_at;
    const size_t to = end < other.size() ? other[end].value_at : other.used_;
    const size_t at = append(other.buffer_.data() + from, to - from);
    const size_t count = messages_.size();
    messages_.insert(messages_.end(), other.messages_.begin() + first,
                     other.messages_.begin() + end);
    for (size_t i = count; i < messages_.size(); i++) {
        messages_[i].value_at += at - from;
    }
}

void MessageBatch::set_headers(std::string_view json) {
    append(json.data(), json.size());
    messages_.back().headers_size = static_cast<int32_t>(json.size());
}

void MessageBatch::finish() {
    static constexpr char kZeros[kPadding] = {};
    append(kZeros, kPadding);
}

std::string_view MessageBatch::value(int32_t i) const {
    const Message& message = (*this)[i];
    if (message.value_size < 0) return {};
    return {buffer_.data() + message.value_at, static_cast<size_t>(message.value_size)};
}

std::string_view MessageBatch::headers(int32_t i) const {
    const Message& message = (*this)[i];
    return {buffer_.data() + message.headers_at(), static_cast<size_t>(message.headers_size)};
}

std::string_view MessageBatch::key(int32_t i) const {
    const Message& message = (*this)[i];
    if (message.key_size < 0) return {};
    return {buffer_.data() + message.key_at(), static_cast<size_t>(message.key_size)};
}

}  // namespace anomaly
