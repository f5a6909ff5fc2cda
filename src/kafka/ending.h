// Clients end on threads of their own: that takes up to about a second, and the client library
// (2.0.2) never comes back from ending a client that was reading a topic when that was deleted.
// Such a client lasts as long as the process.
#pragma once

#include <memory>

namespace anomaly::kafka {

// Destroys what holds the client, of which nobody may make use any more, and all that the client
// tells of its end. Does not wait for it.
void end_elsewhere(std::shared_ptr<void> owner);

// Whether there is a client that does not end: the process had better end when it can.
bool has_endless_clients();

// Waits until all have ended, but for those that do not: before the process ends, since what is
// taken down then may be what a client still needs.
void await_ends();

}  // namespace anomaly::kafka
