// A WaitEventSet that lives as long as the set of fds does not change.
#include "pg/shared/wait.h"

namespace anomaly::pg {

namespace {

WaitEventSet* wait_set = NULL;
int waited_fds[kMaxWaitFds];
int waited_count = 0;

bool same_fds(std::span<const int> fds) {
    if (static_cast<int>(fds.size()) != waited_count) return false;
    return memcmp(fds.data(), waited_fds, fds.size_bytes()) == 0;
}

void build(std::span<const int> fds) {
    forget_waited_fds();
    if (fds.size() > kMaxWaitFds) elog(ERROR, "too many readers in one worker");
    wait_set = create_wait_event_set(static_cast<int>(fds.size()) + 2);
    AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
    AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
    for (const int fd : fds) {
        if (fd >= 0) AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, fd, NULL, NULL);
    }
    memcpy(waited_fds, fds.data(), fds.size_bytes());
    waited_count = static_cast<int>(fds.size());
}

// Rounded up, or the last millisecond would be spent turning in a circle.
long timeout_ms(int64_t deadline_us) {
    if (deadline_us == INT64_MAX) return -1;
    const int64_t now_us = GetCurrentTimestamp();
    if (deadline_us <= now_us) return 0;
    // Subtracted unsigned: the deadline may be as far off as the type allows.
    const uint64_t left_us = static_cast<uint64_t>(deadline_us) - static_cast<uint64_t>(now_us);
    const uint64_t left_ms = left_us / 1000 + (left_us % 1000 != 0 ? 1 : 0);
    return left_ms > INT_MAX ? INT_MAX : static_cast<long>(left_ms);
}

// A worker that waits has nothing to lose: asked to end, it does so without a FATAL in the log.
// Only the launcher is to be started again by the server, which takes an exit code that is not 0.
void check_interrupts() {
    if (ProcDiePending && MyBgworkerEntry != NULL) {
        proc_exit(MyBgworkerEntry->bgw_restart_time == BGW_NEVER_RESTART ? 0 : 1);
    }
    CHECK_FOR_INTERRUPTS();
}

}  // namespace

void forget_waited_fds() {
    if (wait_set != NULL) FreeWaitEventSet(wait_set);
    wait_set = NULL;
    waited_count = 0;
}

Fired wait_for_events(std::span<const int> fds, int64_t deadline_us) {
    check_interrupts();
    if (wait_set == NULL || !same_fds(fds)) build(fds);
    WaitEvent events[kMaxWaitFds + 2];
    const int count = WaitEventSetWait(wait_set, timeout_ms(deadline_us), events, lengthof(events),
                                       PG_WAIT_EXTENSION);
    Fired fired = {false, false, count == 0};
    for (int i = 0; i < count; i++) {
        if ((events[i].events & WL_LATCH_SET) != 0) fired.latch = true;
        if ((events[i].events & WL_SOCKET_READABLE) != 0) fired.fd = true;
    }
    if (fired.latch) ResetLatch(MyLatch);
    check_interrupts();
    return fired;
}

Fired wait_for_events(int fd, int64_t deadline_us) {
    return wait_for_events(std::span<const int>(&fd, 1), deadline_us);
}

}  // namespace anomaly::pg
