// An aggregate with the row of a single group.
#pragma once

#include <memory>
#include <new>
#include <utility>

#include "core/group/aggregate.h"

namespace anomaly {

class OneGroup {
  public:
    // Not at the beginning of the row: its place must be looked at.
    explicit OneGroup(std::unique_ptr<Aggregate> aggregate)
        : aggregate_(std::move(aggregate)),
          row_(new std::max_align_t[1 + aggregate_->state_bytes() / sizeof(std::max_align_t) + 1]) {
        aggregate_->place_states(sizeof(std::max_align_t));
        aggregate_->make(row());
    }
    ~OneGroup() { aggregate_->free(row()); }
    OneGroup(const OneGroup&) = delete;
    OneGroup& operator=(const OneGroup&) = delete;

    Aggregate* operator->() { return aggregate_.get(); }
    char* row() { return reinterpret_cast<char*>(row_.get()); }
    void take(const Column& column, int32_t row_number) {
        char* group = row();
        aggregate_->update({&group, 1}, {&row_number, 1}, &column);
    }

  private:
    std::unique_ptr<Aggregate> aggregate_;
    std::unique_ptr<std::max_align_t[]> row_;
};

}  // namespace anomaly
