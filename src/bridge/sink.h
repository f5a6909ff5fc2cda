// Messages of one PostgreSQL transaction on their way to the topics of one Kafka cluster.
//
// What was written is kept here by subtransaction, until it is handed over for good. All functions
// are noexcept over plain data and never block, but for close: up to about a second.
#pragma once

#include <cstdint>

#include "bridge/ingest.h"
#include "bridge/status.h"

namespace anomaly::bridge {

struct Sink;

struct SinkHeader {
    const char* name;
    int32_t name_size;
    const char* value;  // nullptr: null
    int32_t value_size;
};

struct SinkMessage {
    const char* topic;
    int32_t partition;     // -1: the key's, or any
    int64_t timestamp_ms;  // since 1970; 0: when it is sent
    const char* key;       // nullptr: null
    int32_t key_size;
    const char* value;  // nullptr: null
    int32_t value_size;
    const SinkHeader* headers;
    int32_t header_count;
};

// With transactional_id "" messages go out as they are, without a Kafka transaction.
Status sink_open(const Property* properties, int32_t property_count, const char* transactional_id,
                 Sink** out) noexcept;
void sink_close(Sink* sink) noexcept;    // nullptr is fine
int sink_fd(const Sink* sink) noexcept;  // readable when sink_state may have changed

// The message is copied. level: PostgreSQL's nesting level of transactions, from 1.
Status sink_put(Sink* sink, int32_t level, const SinkMessage& message) noexcept;
// The subtransaction of that level has committed, or not.
Status sink_release(Sink* sink, int32_t level) noexcept;
void sink_drop(Sink* sink, int32_t level) noexcept;

// Hands over what no subtransaction can take back.
Status sink_send(Sink* sink) noexcept;
// Asks, after what was asked before: that all be acknowledged by all replicas; that Kafka's
// transaction be committed; that nothing sent since the last commit become visible.
Status sink_flush(Sink* sink) noexcept;
Status sink_commit(Sink* sink) noexcept;
void sink_abort(Sink* sink) noexcept;

struct SinkState {
    bool idle;              // all that was asked for is done
    bool failed;            // since the last abort; error says why
    bool unknown;           // it was the commit that failed, and perhaps it has happened
    bool broken;            // it will never work again: close it
    int64_t held_bytes;     // not handed over
    int64_t ready_bytes;    // of these, what sink_send would hand over
    int64_t waiting_bytes;  // handed over, not yet on its way
    char error[512];
};
Status sink_state(Sink* sink, SinkState* out) noexcept;

}  // namespace anomaly::bridge
