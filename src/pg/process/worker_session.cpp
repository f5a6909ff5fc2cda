// Common shell of manager and stream worker.
#include "bridge/ending.h"

#include "pg/process/worker_session.h"

namespace anomaly::pg {

namespace {

struct Pin {
    const char* name;
    const char* value;
};

// Whatever ALTER DATABASE, ALTER ROLE or the configuration say: what a worker computes and how it
// waits does not depend on them.
constexpr Pin kPins[] = {
    {"default_transaction_isolation", "read committed"},
    {"default_transaction_read_only", "off"},
    {"default_transaction_deferrable", "off"},
    {"session_replication_role", "origin"},
    {"role", "none"},
    {"search_path", "pg_catalog, pg_temp"},
    {"TimeZone", "UTC"},
    {"DateStyle", "ISO, MDY"},
    {"IntervalStyle", "postgres"},
    {"extra_float_digits", "1"},
    {"bytea_output", "hex"},
    {"array_nulls", "on"},
    {"statement_timeout", "0"},
    {"lock_timeout", "0"},
    {"idle_in_transaction_session_timeout", "0"},
    {"idle_session_timeout", "0"},
    {"jit", "off"},
};

bool is_worker = false;

// PGC_S_OVERRIDE is above the sources of ALTER DATABASE and ROLE and of a later reload.
void pin_settings() {
    for (const Pin& pin : kPins) {
        SetConfigOption(pin.name, pin.value, PGC_SUSET, PGC_S_OVERRIDE);
    }
    // Or what send functions write would be converted, as for a client.
    SetConfigOption("client_encoding", GetDatabaseEncodingName(), PGC_SUSET, PGC_S_OVERRIDE);
    if (kHasTransactionTimeout) {
        SetConfigOption("transaction_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
    }
}

// What the end of a process takes down, such as TLS, is what a client that ends still needs.
void await_clients(int, Datum) {
    bridge::await_client_ends();
}

}  // namespace

bool start_worker(const WorkerOrder& order, const char* function, const char* kind,
                  BackgroundWorkerHandle** handle) {
    BackgroundWorker worker = {};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    worker.bgw_notify_pid = MyProcPid;
    strlcpy(worker.bgw_library_name, "anomaly", sizeof(worker.bgw_library_name));
    strlcpy(worker.bgw_function_name, function, sizeof(worker.bgw_function_name));
    strlcpy(worker.bgw_type, kind, sizeof(worker.bgw_type));
    if (OidIsValid(order.key.stream)) {
        snprintf(worker.bgw_name, sizeof(worker.bgw_name), "%s of %u in database %u", kind,
                 order.key.stream, order.key.database);
    } else {
        snprintf(worker.bgw_name, sizeof(worker.bgw_name), "%s of database %u", kind,
                 order.key.database);
    }
    memcpy(worker.bgw_extra, &order, sizeof(order));
    return RegisterDynamicBackgroundWorker(&worker, handle);
}

bool open_worker_session(const WorkerOrder** order) {
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
    is_worker = true;
    on_proc_exit(await_clients, Datum{0});
    static WorkerOrder own;
    memcpy(&own, MyBgworkerEntry->bgw_extra, sizeof(own));
    *order = &own;
    if (!enter_slot(own.slot, own.key)) return false;
    BackgroundWorkerInitializeConnectionByOid(own.key.database, InvalidOid, 0);
    pin_settings();
    return true;
}

bool in_worker() {
    return is_worker;
}

void run_worker_body(void (*body)(const WorkerOrder&), const WorkerOrder& order) {
    MemoryContext outer = CurrentMemoryContext;
    PG_TRY();
    { body(order); }
    PG_CATCH();
    {
        HOLD_INTERRUPTS();
        MemoryContextSwitchTo(outer);
        const ErrorData* error = CopyErrorData();
        // The same trouble again is one condition, and has its line in the log already.
        if (publish_error(StreamState::kFailing,
                          error->message == NULL ? "unknown error" : error->message)) {
            EmitErrorReport();
        }
        FlushErrorState();
        // Exit code 0 is not logged; what happened is in the slot, where the starter looks.
        proc_exit(0);
    }
    PG_END_TRY();
}

void reload_configuration_if_asked() {
    if (!ConfigReloadPending) return;
    ConfigReloadPending = false;
    ProcessConfigFile(PGC_SIGHUP);
}

}  // namespace anomaly::pg
