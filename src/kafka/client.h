// A librdkafka client made from properties: what it owns, its log, and, for a consumer, its
// settings that we insist on.
//
// Its threads are born with every signal blocked, and its only callback stores a log line.
#pragma once

#include <librdkafka/rdkafka.h>

#include <csignal>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include "kafka/types.h"

namespace anomaly::kafka {

struct Deleter {
    void operator()(rd_kafka_t* client) const;  // without leaving a group: it never joined one
    void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
    void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
    void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
    void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
    void operator()(rd_kafka_headers_t* headers) const { rd_kafka_headers_destroy(headers); }
    void operator()(rd_kafka_error_t* error) const { rd_kafka_error_destroy(error); }
    void operator()(const rd_kafka_metadata_t* metadata) const {
        rd_kafka_metadata_destroy(metadata);
    }
    void operator()(rd_kafka_topic_partition_list_t* list) const {
        rd_kafka_topic_partition_list_destroy(list);
    }
};
template <class T>
using Owned = std::unique_ptr<T, Deleter>;

// A property that the client library does not know or take; what() is its text.
class PropertyError : public std::runtime_error {
  public:
    PropertyError(std::string property_name, const std::string& text)
        : std::runtime_error(text), name(std::move(property_name)) {}
    std::string name;
};

// The client could not be made or asked, for a reason that is not one property's.
class ClientError : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The newest lines that the library logged, from any of its threads. Bounded.
class LogRing {
  public:
    void add(int level, const char* line) noexcept;
    bool next(std::string& line, int& level);  // oldest first; false: none

  private:
    static constexpr size_t kMaxLines = 200;
    static constexpr size_t kMaxLineBytes = 500;
    std::mutex mutex_;
    std::string last_;  // the same line again is not news
    std::deque<std::pair<int, std::string>> lines_;
};

// Blocks every signal on this thread while it lives, so that threads born meanwhile get none.
class SignalBlock {
  public:
    SignalBlock();
    ~SignalBlock();
    SignalBlock(const SignalBlock&) = delete;
    SignalBlock& operator=(const SignalBlock&) = delete;

  private:
    sigset_t saved_;
};

// Throws PropertyError when the library does not take the property.
void set_property(rd_kafka_conf_t* conf, const char* name, const char* value);
void check_property(const char* name, const char* value);

// Throws ClientError.
Owned<rd_kafka_t> make_client(rd_kafka_type_t type, Owned<rd_kafka_conf_t> conf);

// How long a fetch that brings nothing waits at its broker: a few milliseconds, a tenth of a
// second, a second, five for one that only watches. A message comes at once in every gait, but for
// one thing: a partition whose queue was full when a fetch was sent is not in it, and gets nothing
// until it is over. So haste is for when much is to be read; where little is, it costs the broker
// hundreds of answers a second. The threads of a patient consumer, and of one that watches, also do
// late what is theirs to do by the clock.
enum class Gait : uint8_t { kHasty, kQuick, kPatient, kWatching };

// A wait of the user's own, which holds in every gait in which something is read.
bool has_own_wait(const Properties& properties);

// A consumer that joins no group; the log must outlive it. Throws PropertyError, ClientError.
Owned<rd_kafka_t> make_consumer(const Properties& properties, LogRing& log,
                                Gait gait = Gait::kQuick);

// How often partitions that were added are looked for: as often as the client looks.
int refresh_ms(const rd_kafka_conf_t* conf);

// INT64_MAX when the property is no number.
int64_t number_in_force(const rd_kafka_conf_t* conf, const char* property);

}  // namespace anomaly::kafka
