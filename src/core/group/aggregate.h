// One aggregate of a table: where its state lies in the row of a group (core/group/group_rows.h),
// and how rows move it. One thread.
//
// Results, errors included, are PostgreSQL's (float sums up to the order of the rows). Where
// PostgreSQL would raise, the group's aggregate has failed: it has no result any more.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string_view>

#include "core/data/bytes.h"
#include "core/data/column.h"
#include "core/data/message_rows.h"
#include "core/spec.h"

namespace anomaly {

class Aggregate {
  public:
    virtual ~Aggregate() = default;

    virtual Type result_type() const = 0;
    virtual uint32_t state_bytes() const = 0;  // of one group
    virtual uint32_t state_alignment() const = 0;
    // Before there are groups: their states lie so far behind the beginning of a row.
    void place_states(uint32_t offset) { offset_ = offset; }

    // Everything below takes the row of a group, or the rows of several.

    // The state of no rows, which every new group begins with; free before the row is gone.
    virtual void make(char* group) = 0;
    virtual void free(char*) {}
    // The rows to come are those of this batch.
    virtual void begin_batch(const MessageRows&) {}
    // Takes row rows[i] of the argument into groups[i]. The argument of count(*) is nullptr.
    virtual void update(std::span<char* const> groups, std::span<const int32_t> rows,
                        const Column* argument) = 0;
    // Sets one row of out, which is NULL before. False: failed.
    virtual bool result(const char* group, Column& out, int32_t row) const = 0;

    virtual void write(const char* group, ByteWriter& out) const = 0;
    virtual void read(char* group, ByteReader& in) = 0;
    // What came since the group was settled, if that is less than the whole state: read_change
    // takes it in on top of the state before.
    virtual void write_change(const char* group, ByteWriter& out) const { write(group, out); }
    virtual void read_change(char* group, ByteReader& in) { read(group, in); }
    // What has been written is durable.
    virtual void settle(char*) {}

    // What PostgreSQL has yet to make a state of; see core/group/kept_values.h.
    struct Pending {
        std::string_view state;    // before, empty: none
        std::string_view entries;  // since, empty: there is nothing to do
    };
    virtual Pending pending(const char*) const { return {}; }
    virtual void put_state(char*, std::string_view) {}

    virtual bool owns_memory() const { return false; }  // beyond the rows: settle, free matter
    virtual size_t memory_bytes() const { return 0; }   // beyond the rows

  protected:
    uint32_t offset_ = 0;
};

// What all of them share: a State for each group.
template <class State>
class AggregateOf : public Aggregate {
  public:
    uint32_t state_bytes() const override { return sizeof(State); }
    uint32_t state_alignment() const override { return alignof(State); }
    void make(char* group) override { new (group + offset_) State(); }

  protected:
    State& state(char* group) const { return *reinterpret_cast<State*>(group + offset_); }
    const State& state(const char* group) const {
        return *reinterpret_cast<const State*>(group + offset_);
    }
};

// nullptr: no native aggregate of this kind over this type. The argument of count(*) is ignored.
std::unique_ptr<Aggregate> make_aggregate(AggregateKind kind, Type argument);

}  // namespace anomaly
