// Why a client has no broker, in its own words, out of the error events that it queues. That all
// are down is said after the reason, which says more and is kept.
#pragma once

#include <string>

#include "kafka/client.h"

namespace anomaly::kafka {

class Trouble {
  public:
    // False: the event is about something else.
    bool take(rd_kafka_event_t* event);
    void clear() { *this = {}; }

    const std::string& text() const { return text_; }
    // A broker answered, and does not let us in: waiting does not help.
    bool is_refused() const { return refused_; }

  private:
    std::string text_;
    bool refused_ = false;
};

}  // namespace anomaly::kafka
