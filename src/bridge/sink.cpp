#include "bridge/sink.h"

#include <memory>
#include <vector>

#include "bridge/guard.h"
#include "kafka/out_batch.h"
#include "kafka/producer.h"

namespace anomaly::bridge {

struct Sink {
    Sink(const kafka::Properties& properties, const char* transactional_id)
        : producer(properties, transactional_id) {}

    kafka::OutLevels levels;
    kafka::Producer producer;
    std::vector<kafka::OutHeader> headers;
    bool abort_lost = false;
};

Status sink_open(const Property* properties, int32_t property_count, const char* transactional_id,
                 Sink** out) noexcept {
    return guard([&] {
        kafka::Properties list;
        for (int32_t i = 0; i < property_count; i++)
            list.emplace_back(properties[i].name, properties[i].value);
        *out = std::make_unique<Sink>(list, transactional_id).release();
    });
}

void sink_close(Sink* sink) noexcept {
    delete sink;
}

int sink_fd(const Sink* sink) noexcept {
    return sink->producer.fd();
}

Status sink_put(Sink* sink, int32_t level, const SinkMessage& message) noexcept {
    return guard([&] {
        sink->headers.clear();
        for (int32_t h = 0; h < message.header_count; h++) {
            const SinkHeader& header = message.headers[h];
            sink->headers.push_back({{header.name, static_cast<size_t>(header.name_size)},
                                     header.value,
                                     header.value_size});
        }
        kafka::OutMessage out{};
        out.topic = message.topic;
        out.partition = message.partition;
        out.timestamp_ms = message.timestamp_ms;
        out.key = message.key;
        out.key_size = message.key_size;
        out.value = message.value;
        out.value_size = message.value_size;
        out.headers = sink->headers.data();
        out.header_count = message.header_count;
        sink->levels.add(level, out);
    });
}

Status sink_release(Sink* sink, int32_t level) noexcept {
    return guard([&] { sink->levels.release(level); });
}

void sink_drop(Sink* sink, int32_t level) noexcept {
    sink->levels.drop(level);
}

Status sink_send(Sink* sink) noexcept {
    return guard([&] {
        for (kafka::OutBatch& batch : sink->levels.take()) sink->producer.send(std::move(batch));
    });
}

Status sink_flush(Sink* sink) noexcept {
    return guard([&] { sink->producer.flush(); });
}

Status sink_commit(Sink* sink) noexcept {
    return guard([&] { sink->producer.commit(); });
}

// Without the memory to ask for it, the next transaction's messages must not join this one's.
void sink_abort(Sink* sink) noexcept {
    sink->levels.drop(1);
    sink->abort_lost = !guard([&] { sink->producer.roll_back(); }).ok();
}

Status sink_state(Sink* sink, SinkState* out) noexcept {
    return guard([&] {
        const kafka::ProducerState state = sink->producer.state();
        *out = {};
        out->idle = state.idle;
        out->failed = state.failed;
        out->unknown = state.unknown;
        out->broken = state.broken || sink->abort_lost;
        out->held_bytes = sink->levels.bytes();
        out->ready_bytes = sink->levels.bytes_to_take();
        out->waiting_bytes = state.waiting_bytes;
        std::snprintf(out->error, sizeof out->error, "%s", state.error.c_str());
    });
}

}  // namespace anomaly::bridge
