// The states of one aggregate, a slot for each group, and how rows move them. One thread.
//
// Results, errors included, are PostgreSQL's (float sums up to the order of the rows). Where
// PostgreSQL would raise, the group's aggregate has failed: it has no result any more.
#pragma once

#include <cstdint>
#include <memory>
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
    // Makes room for the slots below the limit.
    virtual void resize(uint32_t slot_limit) = 0;
    // The state of no rows; every new group begins with it.
    virtual void clear(uint32_t slot) = 0;
    // Asks for the memory of states that are looked at next: they are far apart if there are many.
    virtual void prefetch(std::span<const uint32_t>) const {}
    // The rows to come are those of this batch.
    virtual void begin_batch(const MessageRows&) {}
    // Takes row rows[i] of the argument into slots[i]. The argument of count(*) is nullptr.
    virtual void update(std::span<const uint32_t> slots, std::span<const int32_t> rows,
                        const Column* argument) = 0;
    // Sets one row of out, which is NULL before. False: failed.
    virtual bool result(uint32_t slot, Column& out, int32_t row) const = 0;

    virtual void write(uint32_t slot, ByteWriter& out) const = 0;
    virtual void read(uint32_t slot, ByteReader& in) = 0;
    // What came since the slot was settled, if that is less than the whole state: read_change takes
    // it in on top of the state before.
    virtual void write_change(uint32_t slot, ByteWriter& out) const { write(slot, out); }
    virtual void read_change(uint32_t slot, ByteReader& in) { read(slot, in); }
    // What has been written is durable.
    virtual void settle(uint32_t) {}

    // What PostgreSQL has yet to make a state of; see core/group/kept_values.h.
    struct Pending {
        std::string_view state;    // before, empty: none
        std::string_view entries;  // since, empty: there is nothing to do
    };
    virtual Pending pending(uint32_t) const { return {}; }
    virtual void put_state(uint32_t, std::string_view) {}

    virtual bool owns_memory() const { return false; }  // beyond state_bytes: settle, clear matter
    virtual size_t memory_bytes() const = 0;
    virtual uint32_t state_bytes() const = 0;  // of one group
};

// nullptr: no native aggregate of this kind over this type. The argument of count(*) is ignored.
std::unique_ptr<Aggregate> make_aggregate(AggregateKind kind, Type argument);

}  // namespace anomaly
