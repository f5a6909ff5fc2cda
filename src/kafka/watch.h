// Watches the ends of topics that nobody reads just now, many with one client: the first thing that
// happens to a topic, whatever it is, is news. Nothing is read here, and nothing is verified: who
// is told begins to read where it stands, and finds out.
//
// Called on one thread and never blocks for long; ends when its threads do, within a second.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "kafka/client.h"
#include "kafka/event_fd.h"
#include "kafka/partition_count.h"
#include "kafka/types.h"

namespace anomaly::kafka {

struct WatchNews {
    uint32_t id;
    bool at_end;  // the broker confirmed every end, once; false: something has happened, once
    std::string why{};
};

// One client, and the topics it watches, each once.
class Watch {
  public:
    // The fd must outlive it.
    Watch(Properties properties, const EventFd& fd);

    bool takes(const Properties& properties, const std::string& topic) const;
    void add(uint32_t id, const std::string& topic, const std::vector<Start>& at);
    bool remove(uint32_t id);  // false: it is not watched here
    bool is_empty() const { return topics_.empty(); }
    // Nothing more comes of it: it had an error, which was news to all of its topics.
    bool is_broken() const { return broken_; }
    void poll(std::vector<WatchNews>& out);

  private:
    struct End {
        Owned<rd_kafka_queue_t> queue;
        int32_t partition;
        int64_t offset;
        bool confirmed = false;
        bool has_news = false;
        rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    };
    struct Topic {
        uint32_t id;
        std::string name;
        std::vector<End> ends;
        bool told_end = false;
        bool told_news = false;
    };
    static void look(rd_kafka_message_t* message, void* end) noexcept;
    static std::string look_at(Topic& topic);
    static bool has_failed(const End& end);
    std::string trouble() const;
    void tell_all(const std::string& why, std::vector<WatchNews>& out);

    const Properties properties_;
    const EventFd& fd_;
    LogRing log_;  // read by nobody: who is woken has the same trouble, and says so
    const Owned<rd_kafka_t> client_;
    const Owned<rd_kafka_queue_t> queue_;  // what is no partition's own
    std::list<Topic> topics_;
    bool broken_ = false;
    PartitionCount count_;  // last: its thread ends first
};

// All that one process watches, with a client for each set of properties. Topics have ids, each is
// watched once; two that are the same topic have different clients.
class Watches {
  public:
    int fd() const { return fd_->get(); }
    // Throws PropertyError, ClientError. The partitions must be all that the topic has, and the
    // starts offsets.
    void add(uint32_t id, const std::string& topic, const Properties& properties,
             const std::vector<Start>& at);
    void remove(uint32_t id);
    // Clears the fd; what comes afterwards fires it anew.
    void poll(std::vector<WatchNews>& out);

  private:
    // Each with the fd that its client fires, which it may do until it has ended.
    struct Entry {
        std::shared_ptr<EventFd> fd;
        std::shared_ptr<Watch> watch;
    };
    void drop(std::list<Entry>::iterator entry);

    std::shared_ptr<EventFd> fd_ = std::make_shared<EventFd>();
    std::list<Entry> watches_;
};

}  // namespace anomaly::kafka
