// Definitions of the settings. Hooks would only be allowed to copy values; there are none.
#include "pg/server/guc.h"

namespace anomaly::pg {

Settings settings;

namespace {

void define_bool(const char* name, const char* what, const char* more, bool* variable,
                 bool initial) {
    DefineCustomBoolVariable(name, what, more, variable, initial, PGC_SIGHUP, 0, NULL, NULL, NULL);
}

void define_int(const char* name, const char* what, const char* more, int* variable, int initial,
                int least, int most, GucContext context, int flags) {
    DefineCustomIntVariable(name, what, more, variable, initial, least, most, context, flags, NULL,
                            NULL, NULL);
}

void define_batch_settings() {
    define_int("anomaly.batch_rows", "Messages in a batch, at most.",
               "A batch is what is decoded and evaluated at once.", &settings.batch_rows, 8192, 1,
               1000000, PGC_SIGHUP, 0);
    define_int("anomaly.batch_bytes", "Size of a batch, about.",
               "A single larger message still is a batch.", &settings.batch_kb, 16 * 1024, 64,
               1024 * 1024, PGC_SIGHUP, GUC_UNIT_KB);
    define_int("anomaly.commit_interval", "Longest time between two commits under load.",
               "Without load each batch is committed at once.", &settings.commit_interval_ms, 200,
               1, 60 * 1000, PGC_SIGHUP, GUC_UNIT_MS);
    define_int("anomaly.commit_rows", "Messages between two commits, at most.",
               "Counted over the batches of one stream.", &settings.commit_rows, 200000, 1,
               100000000, PGC_SIGHUP, 0);
    define_int("anomaly.rest_after", "Silence after which a stream's worker lets its client go.",
               "The manager of the database then watches the topics of all such streams with one "
               "client, and wakes a worker as soon as there is something to read. -1: never.",
               &settings.rest_after_ms, 60 * 1000, -1, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS);
    define_int("anomaly.lock_timeout", "How long a commit waits for locks of others on a table.",
               "Then the table stays at its position (state waiting for a lock) until they let go; "
               "the stream's others go on. 0: all wait, however long it takes.",
               &settings.lock_timeout_ms, 1000, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS);
    define_int("anomaly.stream_memory", "Memory for the state of one stream's tables.",
               "Open windows, groups and rows that wait for a commit. When it is not enough, the "
               "table that takes most of it stops at its position (state failing) until there is "
               "room; the stream's others go on.",
               &settings.stream_memory_kb, 1024 * 1024, 1024, MAX_KILOBYTES, PGC_SIGHUP,
               GUC_UNIT_KB);
}

}  // namespace

void define_settings() {
    define_bool("anomaly.paused", "Holds all streams of the cluster.",
                "Start a byte-for-byte copy of a cluster with this on, or it consumes and alerts "
                "a second time.",
                &settings.paused, false);
    define_bool("anomaly.notify", "Announces events by NOTIFY anomaly.",
                "Events can always be read with anomaly.events_since.", &settings.notify, true);
    define_batch_settings();
    define_int("anomaly.rule_time_limit", "Longest time that a rule may take for one batch.",
               "A rule that takes longer is cancelled, and the error recorded on it.",
               &settings.rule_time_limit_ms, 5000, 1, 3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS);
    define_int("anomaly.event_retention", "How long events are kept.",
               "A consumer that was away for longer is told so. -1 keeps them for ever.",
               &settings.event_retention_s, 30 * 24 * 3600, -1, 10 * 365 * 24 * 3600, PGC_SIGHUP,
               GUC_UNIT_S);
    define_int("anomaly.finding_retention", "How long findings are kept.",
               "At least as long as the events that tell of them, and while they hold. -1 keeps "
               "them for ever.",
               &settings.finding_retention_s, 365 * 24 * 3600, -1, 68 * 365 * 24 * 3600, PGC_SIGHUP,
               GUC_UNIT_S);
    define_int("anomaly.max_streams", "Streams with a worker, in all databases, at most.",
               "Fixes the size of shared memory. Each stream also takes one of "
               "max_worker_processes, and so does each database and the launcher.",
               &settings.max_streams, 64, 1, 10000, PGC_POSTMASTER, 0);
    define_int("anomaly.dead_letter_limit", "Dead letters kept of each stream, at most.",
               "The oldest go first. anomaly.stream_status counts all.",
               &settings.dead_letter_limit, 100000, 0, 100000000, PGC_SIGHUP, 0);
    define_int("anomaly.peek_time_limit", "How long reading a stream waits for a silent broker.",
               "When nothing comes for so long, the statement fails.", &settings.peek_time_limit_ms,
               10000, 1, 3600 * 1000, PGC_USERSET, GUC_UNIT_MS);
    define_int("anomaly.sink_buffer", "Memory for messages that wait for the commit.",
               "A transaction that writes more to streams begins to send before its commit, inside "
               "of a Kafka transaction.",
               &settings.sink_buffer_kb, 16 * 1024, 64, 1024 * 1024, PGC_USERSET, GUC_UNIT_KB);
    MarkGUCPrefixReserved("anomaly");
}

}  // namespace anomaly::pg
