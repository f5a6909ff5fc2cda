// The positions of a topic as offsets of a consumer group in the broker, for tools that show lag.
// One request at a time, or an older position might come after a newer one; where a client goes
// before its answer has come, the next one asks again. One thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kafka/client.h"
#include "kafka/types.h"

namespace anomaly::kafka {

class Mirror {
  public:
    explicit Mirror(std::string topic) : topic_(std::move(topic)) {}

    // What the broker is to be told, instead of what it has not been told yet.
    void want(std::vector<Start> positions) { wanted_ = std::move(positions); }
    // Asks the client, unless an answer is awaited or nothing is wanted. The answer comes to the
    // queue, as an event.
    void send(rd_kafka_t* client, rd_kafka_queue_t* queue);
    // What was refused is not asked again, but with what is wanted next.
    void take_answer() { is_awaited_ = false; }
    // From the client that was asked, no answer comes any more.
    void lose_client();

  private:
    const std::string topic_;
    std::vector<Start> wanted_;  // empty: the broker was asked for it
    std::vector<Start> asked_;
    bool is_awaited_ = false;
};

}  // namespace anomaly::kafka
