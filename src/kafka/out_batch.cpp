#include "kafka/out_batch.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace anomaly::kafka {
namespace {

constexpr int64_t kEntryBytes = 64;  // of memory, beside its bytes

struct HeaderSizes {
    int32_t name;
    int32_t value;  // -1: null
};

int32_t size_or_null(const char* data, int32_t size) {
    return data == nullptr ? -1 : size;
}

int64_t bytes_of(const std::vector<OutBatch>& batches) {
    int64_t bytes = 0;
    for (const OutBatch& batch : batches) bytes += batch.bytes();
    return bytes;
}

}  // namespace

// A transaction writes to few topics.
int32_t OutBatch::topic_number(std::string_view topic) {
    const auto found = std::find(topics_.begin(), topics_.end(), topic);
    const auto number = found - topics_.begin();
    if (found == topics_.end()) topics_.emplace_back(topic);
    return static_cast<int32_t>(number);
}

void OutBatch::append(const void* bytes, int32_t size) {
    const char* from = static_cast<const char*>(bytes);
    if (size > 0) buffer_.insert(buffer_.end(), from, from + size);
}

void OutBatch::add(const OutMessage& message) {
    Entry entry{};
    entry.topic = topic_number(message.topic);
    entry.partition = message.partition;
    entry.timestamp_ms = message.timestamp_ms;
    entry.key_size = size_or_null(message.key, message.key_size);
    entry.value_size = size_or_null(message.value, message.value_size);
    entry.header_count = message.header_count;
    entry.at = buffer_.size();
    append(message.key, entry.key_size);
    append(message.value, entry.value_size);
    for (int32_t h = 0; h < message.header_count; h++) {
        const OutHeader& header = message.headers[h];
        const HeaderSizes sizes = {static_cast<int32_t>(header.name.size()),
                                   size_or_null(header.value, header.value_size)};
        append(&sizes, sizeof sizes);
        append(header.name.data(), sizes.name);
        append(header.value, sizes.value);
    }
    entries_.push_back(entry);
}

int64_t OutBatch::bytes() const {
    return static_cast<int64_t>(buffer_.size()) + size() * kEntryBytes;
}

OutMessage OutBatch::message(int32_t i, std::vector<OutHeader>& headers) const {
    const Entry& entry = entries_[static_cast<size_t>(i)];
    const char* at = buffer_.data() + entry.at;
    const auto next = [&at](int32_t size) {
        const char* bytes = size < 0 ? nullptr : size == 0 ? "" : at;
        at += std::max(size, 0);
        return bytes;
    };
    OutMessage out{};
    out.topic = topics_[static_cast<size_t>(entry.topic)];
    out.partition = entry.partition;
    out.timestamp_ms = entry.timestamp_ms;
    out.key = next(entry.key_size);
    out.key_size = std::max(entry.key_size, 0);
    out.value = next(entry.value_size);
    out.value_size = std::max(entry.value_size, 0);
    headers.clear();
    for (int32_t h = 0; h < entry.header_count; h++) {
        HeaderSizes sizes;
        std::memcpy(&sizes, next(sizeof sizes), sizeof sizes);
        const char* name = next(sizes.name);
        const char* value = next(sizes.value);
        headers.push_back(
            {{name, static_cast<size_t>(sizes.name)}, value, std::max(sizes.value, 0)});
    }
    out.headers = headers.data();
    out.header_count = entry.header_count;
    return out;
}

void OutLevels::add(int32_t level, const OutMessage& message) {
    if (levels_.empty() || levels_.back().level < level) levels_.push_back({level, {}});
    std::vector<OutBatch>& batches = levels_.back().batches;
    if (batches.empty() || batches.back().bytes() >= kBatchBytes) batches.emplace_back();
    const int64_t before = batches.back().bytes();
    batches.back().add(message);
    bytes_ += batches.back().bytes() - before;
}

void OutLevels::release(int32_t level) {
    if (levels_.empty() || levels_.back().level < level) return;
    Level& top = levels_.back();
    const bool has_parent = levels_.size() > 1 && levels_[levels_.size() - 2].level == level - 1;
    if (!has_parent) {
        top.level = level - 1;
        return;
    }
    Level& parent = levels_[levels_.size() - 2];
    parent.batches.reserve(parent.batches.size() + top.batches.size());  // or nothing has changed
    std::move(top.batches.begin(), top.batches.end(), std::back_inserter(parent.batches));
    levels_.pop_back();
}

void OutLevels::drop(int32_t level) {
    while (!levels_.empty() && levels_.back().level >= level) {
        bytes_ -= bytes_of(levels_.back().batches);
        levels_.pop_back();
    }
}

int64_t OutLevels::bytes_to_take() const {
    const bool any = !levels_.empty() && levels_.front().level == 1;
    return any ? bytes_of(levels_.front().batches) : 0;
}

std::vector<OutBatch> OutLevels::take() {
    if (levels_.empty() || levels_.front().level != 1) return {};
    std::vector<OutBatch> out = std::move(levels_.front().batches);
    levels_.erase(levels_.begin());
    bytes_ -= bytes_of(out);
    return out;
}

}  // namespace anomaly::kafka
