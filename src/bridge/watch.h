// Watches the ends of topics for streams that read nothing just now (kafka/watch.h).
#pragma once

#include <cstdint>

#include "bridge/ingest.h"
#include "bridge/status.h"

namespace anomaly::bridge {

struct Watches;

Status watches_open(Watches** out) noexcept;
int watches_fd(const Watches* watches) noexcept;  // readable when there may be something to poll

// The partitions must be all that the topic has. Each id is watched once.
Status watches_add(Watches* watches, uint32_t id, const char* topic, const Property* properties,
                   int32_t property_count, const RestPosition* at, int32_t count) noexcept;
void watches_remove(Watches* watches, uint32_t id) noexcept;

struct WatchNews {
    uint32_t id;
    bool at_end;      // the broker confirmed every end, once; false: something has happened, once
    const char* why;  // what has happened
};
// Since the last poll; valid until the next.
Status watches_poll(Watches* watches, const WatchNews** news, int32_t* count) noexcept;

}  // namespace anomaly::bridge
