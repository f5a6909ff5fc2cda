// A batch of Kafka messages, copied once into one buffer of our own, so that the broker client's
// memory is free again at once and simdjson may read past the end of each value.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace anomaly {

struct Message {
    int32_t partition;
    int32_t value_size;    // -1: null value (a tombstone)
    int32_t key_size;      // -1: null key
    int32_t headers_size;  // 0: not asked for
    int64_t offset;
    int64_t timestamp_ms;  // Kafka's own, since 1970; -1: none
    size_t value_at;       // place in the batch's buffer; the key follows, then the headers

    size_t key_at() const {
        return value_at + static_cast<size_t>(value_size < 0 ? 0 : value_size);
    }
    size_t headers_at() const {
        return key_at() + static_cast<size_t>(key_size < 0 ? 0 : key_size);
    }
};

class MessageBatch {
  public:
    // simdjson::SIMDJSON_PADDING is at most this in every version we build with.
    static constexpr size_t kPadding = 64;

    void clear();
    // Copies value and key in. A size of -1 means null. Throws std::bad_alloc.
    void add(int32_t partition, int64_t offset, int64_t timestamp_ms, const void* value,
             int32_t value_size, const void* key, int32_t key_size);
    // Messages of another batch, from first up to before end.
    void add_range(const MessageBatch& other, int32_t first, int32_t end);
    // The headers of the message added last, as the text of a JSON object.
    void set_headers(std::string_view json);
    // Appends the padding after the last message; call once, before any value is read.
    void finish();

    int32_t size() const { return static_cast<int32_t>(messages_.size()); }
    size_t bytes() const { return used_; }
    size_t bytes_reserved() const { return buffer_.size(); }
    const Message& operator[](int32_t i) const { return messages_[static_cast<size_t>(i)]; }
    // Valid until clear(). At least kPadding readable bytes follow each value after finish().
    std::string_view value(int32_t i) const;
    std::string_view key(int32_t i) const;
    std::string_view headers(int32_t i) const;

  private:
    size_t append(const void* bytes, size_t size);

    std::vector<Message> messages_;
    std::vector<char> buffer_;
    size_t used_ = 0;  // of the buffer
};

}  // namespace anomaly
