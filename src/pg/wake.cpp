// One transaction callback, registered once a session, and three flags.
#include "pg/shmem.h"
#include "pg/wake.h"

namespace anomaly::pg {

namespace {

bool wants_manager = false;
bool wants_launcher = false;
bool wants_look = false;
bool registered = false;

// The commit is visible to others when XACT_EVENT_COMMIT comes. A parallel worker changes nothing.
void at_transaction_end(XactEvent event, void*) {
    switch (event) {
        case XACT_EVENT_COMMIT:
            if (wants_manager) wake_manager(MyDatabaseId);
            if (wants_launcher) wake_launcher();
            if (wants_look) tell_launcher(MyDatabaseId);
            [[fallthrough]];
        case XACT_EVENT_ABORT:
        case XACT_EVENT_PREPARE:
            wants_manager = wants_launcher = wants_look = false;
            break;
        default:
            break;
    }
}

void want(bool* flag) {
    if (!registered) RegisterXactCallback(at_transaction_end, NULL);
    registered = true;
    *flag = true;
}

}  // namespace

void wake_manager_at_commit() {
    want(&wants_manager);
}

void wake_launcher_at_commit() {
    want(&wants_launcher);
}

void tell_launcher_at_commit() {
    want(&wants_look);
}

void wake_after_prepared_commit() {
    wake_manager(MyDatabaseId);
    tell_launcher(MyDatabaseId);
}

}  // namespace anomaly::pg
