#include "kafka/topic_list.h"

namespace anomaly::kafka {

bool TopicList::ask(std::string& error) {
    const TopicNames topics = ask_topics(client(), time_left_ms());
    error = topics.text;
    names_.clear();
    for (const std::string& name : topics.names)
        if (!name.starts_with("__")) names_.push_back(name);
    return topics.answer == Answer::kGiven;
}

}  // namespace anomaly::kafka
