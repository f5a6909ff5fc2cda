// The one place where a worker waits: its latch, the postmaster's death, and the eventfds of its
// readers. No sleep, no polling.
#pragma once

#include <cstdint>
#include <span>

#include "pg/pg.h"

namespace anomaly::pg {

struct Fired {
    bool latch;     // someone woke us, or a signal came
    bool fd;        // at least one of the fds is readable
    bool deadline;  // neither: the time came
};

constexpr int kMaxWaitFds = 64;

// Waits until the latch is set, an fd is readable (-1 is passed over) or the clock reaches
// deadline_us (microseconds since 2000-01-01 UTC, INT64_MAX: never). The latch is reset and
// interrupts are checked before it returns. If the postmaster dies, so does the process.
Fired wait_for_events(std::span<const int> fds, int64_t deadline_us);
Fired wait_for_events(int fd, int64_t deadline_us);

// To be called when a waited-for fd is closed: a new one may get the same number.
void forget_waited_fds();

}  // namespace anomaly::pg
