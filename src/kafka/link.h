// One client of a reader with the two threads of ours that serve it. A reader has one, and for the
// short time in which it changes its gait another one, which is to take over.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kafka/client.h"
#include "kafka/control.h"
#include "kafka/event_fd.h"
#include "kafka/intake.h"

namespace anomaly::kafka {

// By what a link tells its reader that something has come, and what the client says of itself.
struct Outlet {
    EventFd fd;
    LogRing log;
};

// Declared in the order that matters at the end: our threads stop first, then the client ends and
// with it all that writes to the fds. Taps that others hold have to be closed before.
struct Link {
    Link(const std::string& topic, const Properties& properties, Gait with_gait,
         std::shared_ptr<Outlet> to);

    // What has gone wrong with the client up to now is no news.
    void drop_events() const;
    Owned<rd_kafka_event_t> next_event() const;

    // A partition that waits for this link to take over.
    struct Waiting {
        Reply started;
        std::shared_ptr<Tap> tap;
    };

    const Gait gait;
    const std::shared_ptr<Outlet> outlet;
    EventFd fetched;  // fired by the client, for the intake
    const Owned<rd_kafka_t> client;
    const Owned<rd_kafka_queue_t> queue;  // what is no partition's own
    const QueueLimits full;
    std::vector<Waiting> waiting;
    Control control;
    Intake intake;
};

}  // namespace anomaly::kafka
