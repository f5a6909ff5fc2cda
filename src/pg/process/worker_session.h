// What every worker with a database does first and last: signals, connection, pinned settings, and
// the recording of the error that ends it.
#pragma once

#include "pg/pg.h"
#include "pg/shared/shmem.h"

namespace anomaly::pg {

// Travels in bgw_extra from whoever starts a worker to the worker.
struct WorkerOrder {
    WorkerKey key;
    int slot;
};
static_assert(sizeof(WorkerOrder) <= BGW_EXTRALEN);

// A dynamic worker that PostgreSQL never restarts; this process is told of its start and end.
// False: no free background worker slot.
bool start_worker(const WorkerOrder& order, const char* function, const char* kind,
                  BackgroundWorkerHandle** handle);

// Takes the slot, connects as the bootstrap superuser, pins the settings. False: the process has
// nothing to do and shall end.
bool open_worker_session(const WorkerOrder** order);

// Whether this process is a worker of ours.
bool in_worker();

// Runs it; an ERROR is published, logged unless it is the same as last time, and ends the process.
void run_worker_body(void (*body)(const WorkerOrder&), const WorkerOrder& order);

// Acts on a pending SIGHUP.
void reload_configuration_if_asked();

}  // namespace anomaly::pg
