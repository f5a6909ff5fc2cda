#include "bridge/ending.h"

#include "bridge/guard.h"
#include "kafka/ending.h"

namespace anomaly::bridge {

bool has_endless_clients() noexcept {
    bool has = false;
    (void)guard([&] { has = kafka::has_endless_clients(); });
    return has;
}

void await_client_ends() noexcept {
    (void)guard([] { kafka::await_ends(); });
}

}  // namespace anomaly::bridge
