// An eventfd, which one side fires and the other waits on. Any thread may fire it.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "kafka/client.h"

namespace anomaly::kafka {

class EventFd {
  public:
    // What librdkafka and we write: the counter grows by one.
    static constexpr uint64_t kOne = 1;

    EventFd() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
        if (fd_ < 0) throw ClientError("could not make an eventfd");
    }
    ~EventFd() { close(fd_); }
    EventFd(const EventFd&) = delete;
    EventFd& operator=(const EventFd&) = delete;

    int get() const { return fd_; }
    void fire() const {
        // Fails only when the counter is full, and then it is readable anyway.
        [[maybe_unused]] const ssize_t size = write(fd_, &kOne, sizeof kOne);
    }
    // From now on the client fires this one, and no other, when the queue is no longer empty.
    void follow(rd_kafka_queue_t* queue) const {
        rd_kafka_queue_io_event_enable(queue, fd_, &kOne, sizeof kOne);
    }
    void wait() const {
        pollfd waited{fd_, POLLIN, 0};
        poll(&waited, 1, -1);
    }
    void clear() const {
        uint64_t count;
        [[maybe_unused]] const ssize_t size = read(fd_, &count, sizeof count);
    }

  private:
    int fd_;
};

}  // namespace anomaly::kafka
