// Asks for the names of all topics, but for Kafka's own.
#pragma once

#include <string>
#include <vector>

#include "kafka/question.h"

namespace anomaly::kafka {

class TopicList : public Question {
  public:
    // Throws PropertyError, ClientError.
    TopicList(const Properties& properties, int time_limit_ms)
        : Question(properties, time_limit_ms) {
        start();
    }
    ~TopicList() override { stop(); }

    // After done: ascending.
    const std::vector<std::string>& names() const { return names_; }

  private:
    bool ask(std::string& error) override;

    std::vector<std::string> names_;  // the thread's until it is done
};

}  // namespace anomaly::kafka
