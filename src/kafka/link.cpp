#include "kafka/link.h"

#include <utility>

namespace anomaly::kafka {
namespace {

QueueLimits queue_limits(const rd_kafka_conf_t* conf) {
    return {number_in_force(conf, "queued.min.messages"),
            number_in_force(conf, "queued.max.messages.kbytes") * 1024};
}

}  // namespace

Link::Link(const std::string& topic, const Properties& properties, Gait with_gait,
           std::shared_ptr<Outlet> to)
    : gait(with_gait),
      outlet(std::move(to)),
      client(make_consumer(properties, outlet->log, with_gait)),
      queue(rd_kafka_queue_get_consumer(client.get())),
      full(queue_limits(rd_kafka_conf(client.get()))),
      control(client.get(), topic, outlet->fd, fetched, refresh_ms(rd_kafka_conf(client.get()))),
      intake(fetched, control) {
    outlet->fd.follow(queue.get());
}

void Link::drop_events() const {
    while (next_event()) {
    }
}

Owned<rd_kafka_event_t> Link::next_event() const {
    return Owned<rd_kafka_event_t>(rd_kafka_queue_poll(queue.get(), 0));
}

}  // namespace anomaly::kafka
