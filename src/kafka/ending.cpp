#include "kafka/ending.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "kafka/client.h"

namespace anomaly::kafka {
namespace {

using Clock = std::chrono::steady_clock;

// A client that can end does so within about a second.
constexpr std::chrono::seconds kEndLimit{5};

struct Endings {
    std::mutex mutex;  // guards what follows
    std::condition_variable changed;
    std::list<Clock::time_point> limits;  // of those under way, in order
};

// Never destroyed: threads may be left to the end of the process.
Endings& endings() {
    static Endings& the_only = *new Endings;
    return the_only;
}

std::list<Clock::time_point>::iterator note_begin() {
    Endings& all = endings();
    const std::scoped_lock lock(all.mutex);
    return all.limits.insert(all.limits.end(), Clock::now() + kEndLimit);
}

void note_end(std::list<Clock::time_point>::iterator which) {
    Endings& all = endings();
    const std::scoped_lock lock(all.mutex);
    all.limits.erase(which);
    all.changed.notify_all();
}

}  // namespace

void end_elsewhere(std::shared_ptr<void> owner) {
    if (!owner) return;
    const auto noted = note_begin();
    try {
        const SignalBlock block;
        std::thread([owner = std::move(owner), noted]() mutable {
            owner.reset();
            note_end(noted);
        }).detach();
    } catch (const std::system_error&) {
        note_end(noted);  // no thread could be had: it has ended here
    }
}

bool has_endless_clients() {
    Endings& all = endings();
    const std::scoped_lock lock(all.mutex);
    return !all.limits.empty() && all.limits.front() <= Clock::now();
}

void await_ends() {
    Endings& all = endings();
    std::unique_lock lock(all.mutex);
    while (!all.limits.empty() && all.limits.back() > Clock::now()) {
        const Clock::time_point last = all.limits.back();
        all.changed.wait_until(lock, last);
    }
}

}  // namespace anomaly::kafka
