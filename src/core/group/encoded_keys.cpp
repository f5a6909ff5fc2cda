#include "core/group/encoded_keys.h"

#include <utility>

#include "core/group/group_table.h"

namespace anomaly {

void EncodedKeys::begin(const std::vector<const Column*>& columns, int32_t row_count) {
    if (std::exchange(has_begun_, true)) return;
    columns_ = columns;
    keys_.resize(static_cast<size_t>(row_count));
    forget();
}

void EncodedKeys::forget() {
    for (Key& key : keys_) key.size = kNone;
    bytes_.clear();
}

void EncodedKeys::encode(std::span<const int32_t> rows) {
    if (bytes_.size() > kMostBytes) forget();
    for (const int32_t row : rows) {
        Key& key = keys_[static_cast<size_t>(row)];
        if (key.size != kNone) continue;
        key.at = bytes_.size();
        codec_.encode(columns_, row, bytes_);
        key.size = bytes_.size() - key.at;
        key.hash = key_hash(bytes(key).substr(0, key.size - codec_.tail_bytes()));
    }
}

}  // namespace anomaly
