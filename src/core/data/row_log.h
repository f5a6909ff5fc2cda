// Messages put aside until the next commit: late rows and dead letters, with copies of their bytes.
// One thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/data/column.h"
#include "core/data/message_rows.h"
#include "core/spec.h"

namespace anomaly {

class RowLog {
  public:
    // Once for each message and window, however many of its rows have missed it.
    void add_late(const MessageRows& rows, int32_t row, int64_t window_start, int64_t window_end);
    void add_dead(const MessageRows& rows, int32_t row, std::string_view reason);
    void clear();

    bool empty() const { return late_.empty() && dead_.empty(); }
    const std::vector<LateRow>& late() const { return late_; }
    const std::vector<DeadLetter>& dead() const { return dead_; }
    size_t memory_bytes() const;

  private:
    const char* copy_key(const MessageRows& rows, int32_t row);
    const char* copy_value(const MessageRows& rows, int32_t row);
    bool has_late(const Message& message, int64_t window_start) const;

    Arena bytes_;
    std::vector<LateRow> late_;
    std::vector<DeadLetter> dead_;
};

}  // namespace anomaly
