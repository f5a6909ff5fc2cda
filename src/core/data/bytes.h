// Portable bytes for the checkpoint log: little-endian fixed words and varints, in any order of the
// machine. Reading past the end is remembered, never done.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/data/word.h"

namespace anomaly {

class ByteWriter {
  public:
    void byte(uint8_t value) { *extend(1) = static_cast<char>(value); }
    void fixed32(uint32_t value) {
        char* to = extend(sizeof value);
        for (size_t i = 0; i < sizeof value; i++, value >>= 8) to[i] = static_cast<char>(value);
    }
    void fixed64(uint64_t value) { store_word(extend(kWordBytes), value); }
    void varint(uint64_t value) {
        if (value < 0x80) return byte(static_cast<uint8_t>(value));
        for (; value >= 0x80; value >>= 7) byte(static_cast<uint8_t>(value | 0x80));
        byte(static_cast<uint8_t>(value));
    }
    // Small numbers of either sign take few bytes.
    void zigzag(int64_t value) {
        varint((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63));
    }
    void raw(std::string_view bytes) {
        if (!bytes.empty()) std::memcpy(extend(bytes.size()), bytes.data(), bytes.size());
    }
    // With its length before it.
    void sized(std::string_view bytes) {
        varint(bytes.size());
        raw(bytes);
    }
    // The same of what write() writes.
    template <class Write>
    void sized_by(Write write) {
        const size_t at = size_;
        byte(0);
        write();
        const size_t written = size_ - at - 1;
        if (written < 0x80) {
            bytes_[at] = static_cast<char>(written);
        } else {
            make_room_for_size(at, written);
        }
    }

    std::string_view view() const { return {bytes_.data(), size_}; }
    char* data() { return bytes_.data(); }
    size_t size() const { return size_; }
    void clear() { size_ = 0; }
    void drop_front(size_t size) {
        size_ -= size;
        if (size_ > 0) std::memmove(bytes_.data(), bytes_.data() + size, size_);
    }

  private:
    // There is one byte for it, which is too little.
    [[gnu::noinline]] void make_room_for_size(size_t at, size_t written) {
        ByteWriter prefix;
        prefix.varint(written);
        extend(prefix.size() - 1);
        std::memmove(bytes_.data() + at + prefix.size(), bytes_.data() + at + 1, written);
        std::memcpy(bytes_.data() + at, prefix.bytes_.data(), prefix.size());
    }
    // Room for so many bytes more, which the caller writes.
    char* extend(size_t more) {
        if (bytes_.size() - size_ < more) grow(more);
        char* to = bytes_.data() + size_;
        size_ += more;
        return to;
    }
    [[gnu::noinline]] void grow(size_t more) {
        constexpr size_t kLeast = 64;
        bytes_.resize(std::max({kLeast, size_ + more, 2 * bytes_.size()}));
    }

    std::vector<char> bytes_;  // as large as there is room
    size_t size_ = 0;
};

class ByteReader {
  public:
    explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

    uint8_t byte() {
        const std::string_view bytes = raw(1);
        return bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
    }
    uint32_t fixed32() {
        const std::string_view bytes = raw(sizeof(uint32_t));
        return static_cast<uint32_t>(load_part(bytes.data(), bytes.size()));
    }
    uint64_t fixed64() {
        const std::string_view bytes = raw(kWordBytes);
        return bytes.empty() ? 0 : load_word(bytes.data());
    }
    uint64_t varint() {
        uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            uint8_t next = byte();
            value |= static_cast<uint64_t>(next & 0x7f) << shift;
            if (next < 0x80) return value;
        }
        ok_ = false;
        return 0;
    }
    int64_t zigzag() {
        uint64_t value = varint();
        return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
    }
    std::string_view raw(uint64_t size) {
        if (size > rest_.size()) {
            ok_ = false;
            rest_ = {};
            return {};
        }
        std::string_view result = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return result;
    }
    std::string_view sized() { return raw(varint()); }

    std::string_view rest() const { return rest_; }
    // What was read makes no sense.
    void fail() { ok_ = false; }
    // False once something was read that was not there.
    bool ok() const { return ok_; }
    bool at_end() const { return rest_.empty(); }
    uint64_t left() const { return rest_.size(); }

  private:
    std::string_view rest_;
    bool ok_ = true;
};

}  // namespace anomaly
