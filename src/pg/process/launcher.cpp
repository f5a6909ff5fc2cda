// The launcher, the only static worker: finds the databases that have the extension and keeps a
// manager in each. Shared catalogs only; waits on its latch; never exits with code 0, since that
// would mean "never again".
#include "pg/process/launcher.h"

#include "pg/process/backoff.h"
#include "pg/process/worker_session.h"
#include "pg/shared/wait.h"

namespace anomaly::pg {

namespace {

constexpr int64 kFirstDelay_ms = 1000;
constexpr int64 kLongestDelay_ms = 60 * 1000;
constexpr int kRestartTime_s = 2;

struct Database {
    Oid oid;  // hash key
    bool exists;
    bool wanted;  // not known to be without the extension
    bool starting;
    bool complained;  // about having no room
    BackgroundWorkerHandle* handle;
    TimestampTz started_at;
    Backoff backoff;
};

HTAB* databases = NULL;

void make_table() {
    HASHCTL control = {};
    control.keysize = sizeof(Oid);
    control.entrysize = sizeof(Database);
    control.hcxt = TopMemoryContext;
    databases =
        hash_create("anomaly databases", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

bool may_have_extension(Form_pg_database row) {
    return row->datallowconn && !row->datistemplate &&
           row->datconnlimit != kInvalidDatabaseConnectionLimit;
}

void note_database(Oid oid) {
    bool found = false;
    auto* database = static_cast<Database*>(hash_search(databases, &oid, HASH_ENTER, &found));
    if (!found) {
        *database = {};
        database->oid = oid;
        database->wanted = true;
    }
    database->exists = true;
}

void read_databases() {
    HASH_SEQ_STATUS entries;
    hash_seq_init(&entries, databases);
    while (auto* database = static_cast<Database*>(hash_seq_search(&entries))) {
        database->exists = false;
    }
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    Relation relation = table_open(DatabaseRelationId, AccessShareLock);
    SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
    for (HeapTuple tuple; HeapTupleIsValid(tuple = systable_getnext(scan));) {
        auto* row = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
        if (may_have_extension(row)) note_database(row->oid);
    }
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
    CommitTransactionCommand();
}

void take_told_databases() {
    for (Oid told; OidIsValid(told = take_told_database());) {
        HASH_SEQ_STATUS entries;
        hash_seq_init(&entries, databases);
        while (auto* database = static_cast<Database*>(hash_seq_search(&entries))) {
            if (told != database->oid && told != kAllDatabases) continue;
            database->wanted = true;
            database->backoff = {};
        }
    }
}

// The manager of a database has ended, in one of the three ways.
void see_ending(Database* database, TimestampTz now) {
    database->starting = false;
    switch (worker_ending({database->oid, InvalidOid})) {
        case Ending::kNoExtension:
            database->wanted = false;
            database->backoff = {};
            release_slot({database->oid, InvalidOid});
            break;
        case Ending::kHeld:
            database->backoff = {};
            break;
        case Ending::kFailed:
            back_off(&database->backoff, now, database->started_at, kFirstDelay_ms,
                     kLongestDelay_ms);
            break;
    }
    if (database->handle != NULL) pfree(database->handle);
    database->handle = NULL;
}

// Is its manager there or on its way? One that a former launcher started has no handle.
bool is_alive(const Database* database) {
    WorkerView view;
    if (view_worker({database->oid, InvalidOid}, &view) && view.pid != 0) return true;
    if (database->handle == NULL) return false;
    pid_t pid = 0;
    return GetBackgroundWorkerPid(database->handle, &pid) != BGWH_STOPPED;
}

void complain(Database* database, const char* what, const char* hint) {
    if (!database->complained) {
        ereport(LOG,
                (errmsg("anomaly cannot start the manager of database %u: %s", database->oid, what),
                 errhint("%s", hint)));
    }
    database->complained = true;
}

void start_manager(Database* database, TimestampTz now) {
    const WorkerKey key = {database->oid, InvalidOid};
    const int slot = claim_slot(key);
    if (slot == kDatabaseHeld) return;  // its release wakes us
    if (slot != kNoRoom &&
        start_worker({key, slot}, "anomaly_manager_main", "anomaly manager", &database->handle)) {
        database->starting = true;
        database->started_at = now;
        database->complained = false;
        return;
    }
    if (slot != kNoRoom) release_slot(key);
    complain(database, "no background worker slot is free",
             "Raise max_worker_processes: anomaly takes one for itself, one for each database "
             "and one for each stream.");
    back_off(&database->backoff, now, 0, kFirstDelay_ms, kLongestDelay_ms);
}

// Brings one database a step on; returns when to look again.
TimestampTz step(Database* database, TimestampTz now) {
    MemoryContext outer = MemoryContextSwitchTo(TopMemoryContext);
    TimestampTz next = INT64_MAX;
    if (is_alive(database)) {
        database->starting = true;
    } else {
        if (database->starting) see_ending(database, now);
        if (!database->exists) {
            release_slot({database->oid, InvalidOid});
            hash_search(databases, &database->oid, HASH_REMOVE, NULL);
        } else if (database->wanted) {
            if (database->backoff.retry_at <= now) start_manager(database, now);
            if (database->backoff.retry_at > now) next = database->backoff.retry_at;
        }
    }
    MemoryContextSwitchTo(outer);
    return next;
}

[[noreturn]] void run() {
    make_table();
    for (;;) {
        reload_configuration_if_asked();
        take_launcher_request();  // whatever was asked for until now, this look sees
        read_databases();
        take_told_databases();
        const TimestampTz now = GetCurrentTimestamp();
        TimestampTz next = INT64_MAX;
        HASH_SEQ_STATUS entries;
        hash_seq_init(&entries, databases);
        while (auto* database = static_cast<Database*>(hash_seq_search(&entries))) {
            next = Min(next, step(database, now));
        }
        pgstat_report_activity(STATE_IDLE, NULL);
        if (!launcher_is_wanted()) wait_for_events(-1, next);
    }
}

}  // namespace

void register_launcher() {
    BackgroundWorker worker = {};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = kRestartTime_s;
    strlcpy(worker.bgw_library_name, "anomaly", sizeof(worker.bgw_library_name));
    strlcpy(worker.bgw_function_name, "anomaly_launcher_main", sizeof(worker.bgw_function_name));
    strlcpy(worker.bgw_name, "anomaly launcher", sizeof(worker.bgw_name));
    strlcpy(worker.bgw_type, "anomaly launcher", sizeof(worker.bgw_type));
    RegisterBackgroundWorker(&worker);
}

}  // namespace anomaly::pg

ANOMALY_EXPORT void anomaly_launcher_main(Datum) {
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    pqsignal(SIGTERM, die);
    BackgroundWorkerUnblockSignals();
    anomaly::pg::enter_launcher();
    BackgroundWorkerInitializeConnection(NULL, NULL, 0);
    anomaly::pg::run();
}
