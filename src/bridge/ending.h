// Clients of readers and watches that were closed end on threads of their own (kafka/ending.h).
#pragma once

namespace anomaly::bridge {

// One of them does not end: the process had better end when it can.
bool has_endless_clients() noexcept;
// Before the process ends, whichever way: takes about a second, or five for those that do not end.
void await_client_ends() noexcept;

}  // namespace anomaly::bridge
