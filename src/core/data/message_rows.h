// The rows of a batch: which message each comes from, and what the decoder says of it. A message is
// one row, or several, or none; rows are in the order of their messages.
#pragma once

#include <cstdint>
#include <numeric>
#include <string_view>
#include <vector>

#include "core/data/message.h"
#include "core/data/row_state.h"

namespace anomaly {

struct MessageRows {
    const MessageBatch* batch = nullptr;
    std::vector<int32_t> messages;  // by row: index of its message in the batch
    std::vector<RowState> states;   // by row

    int32_t size() const { return static_cast<int32_t>(messages.size()); }
    int32_t message_at(int32_t row) const { return messages[static_cast<size_t>(row)]; }
    const Message& message(int32_t row) const { return (*batch)[message_at(row)]; }
    std::string_view value(int32_t row) const { return batch->value(message_at(row)); }
    RowState& state(int32_t row) { return states[static_cast<size_t>(row)]; }
    const RowState& state(int32_t row) const { return states[static_cast<size_t>(row)]; }

    void clear(const MessageBatch& of_batch) {
        batch = &of_batch;
        messages.clear();
        states.clear();
    }
    // One row a message.
    void assign_each(const MessageBatch& of_batch) {
        batch = &of_batch;
        messages.resize(static_cast<size_t>(of_batch.size()));
        std::iota(messages.begin(), messages.end(), 0);
        states.assign(messages.size(), RowState{});
    }
    int32_t add(int32_t message, const RowState& state = {}) {
        messages.push_back(message);
        states.push_back(state);
        return size() - 1;
    }
    void truncate(int32_t count) {
        messages.resize(static_cast<size_t>(count));
        states.resize(static_cast<size_t>(count));
    }
    // The rows of the row's message: from here ..
    int32_t first_of_message(int32_t row) const {
        while (row > 0 && message_at(row - 1) == message_at(row)) row--;
        return row;
    }
    // .. to before here.
    int32_t end_of_message(int32_t row) const {
        int32_t end = row + 1;
        while (end < size() && message_at(end) == message_at(row)) end++;
        return end;
    }
};

}  // namespace anomaly
