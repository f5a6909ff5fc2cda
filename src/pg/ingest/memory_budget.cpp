// anomaly.stream_memory: what happens when the state of a stream's tables outgrows it. Nobody waits
// for memory while holding some, so nothing can come to a standstill: the largest table gives up
// its own and is read on, from where it was committed, when there is room for it again.
#include "pg/ingest/stream_run.h"
#include "pg/server/guc.h"
#include "pg/shared/extension_lock.h"

namespace anomaly::pg {

namespace {

int64 budget_bytes() {
    return settings.stream_memory_kb * INT64CONST(1024);
}

int64 table_bytes(const RunTable* table) {
    return table->reader == NULL ? 0
                                 : bridge::ingest_table_bytes(table->reader->ingest, table->index);
}

int64 state_bytes(const StreamRun* run) {
    int64 bytes = 0;
    for (int t = 0; t < run->table_count; t++) bytes += table_bytes(&run->tables[t]);
    return bytes;
}

RunTable* find_largest(const StreamRun* run) {
    RunTable* largest = &run->tables[0];
    for (int t = 1; t < run->table_count; t++) {
        if (table_bytes(&run->tables[t]) > table_bytes(largest)) largest = &run->tables[t];
    }
    return largest;
}

// False: the extension is gone.
bool stop_largest(StreamRun* run) {
    RunTable* table = find_largest(run);
    table->needs_bytes = table_bytes(table);
    const MemoryContext caller = CurrentMemoryContext;
    if (!begin_extension_transaction()) return false;
    freeze_table(table, psprintf("the state of its open windows and groups takes %lld kB, and with "
                                 "it the stream's tables exceed anomaly.stream_memory (%d kB): "
                                 "raise that, or make windows shorter or groups fewer",
                                 static_cast<long long>(table->needs_bytes / 1024),
                                 settings.stream_memory_kb));
    end_extension_transaction();
    MemoryContextSwitchTo(caller);
    return true;
}

}  // namespace

bool keep_within_memory(StreamRun* run) {
    if (state_bytes(run) <= budget_bytes()) return true;
    for (int r = 0; r < run->reader_count; r++) {
        if (!commit_reader(run, run->readers[r])) return false;
    }
    return state_bytes(run) <= budget_bytes() || stop_largest(run);
}

bool has_memory_for(const StreamRun* run, const RunTable* table) {
    return table->needs_bytes == 0 || state_bytes(run) + table->needs_bytes <= budget_bytes();
}

}  // namespace anomaly::pg
