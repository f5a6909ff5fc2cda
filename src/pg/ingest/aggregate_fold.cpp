// The groups of an aggregate are folded one after the other in a subtransaction; a group that
// raises an error ends it, and the next one goes on behind it, with everything built anew: an error
// may have left it halfway.
#include "pg/ingest/aggregate_fold.h"

#include "pg/evaluate/kept_aggregate.h"
#include "pg/server/call.h"
#include "pg/server/contain.h"
#include "pg/server/pinned_settings.h"
#include "pg/server/subtransaction.h"
#include "pg/shared/extension_lock.h"

namespace anomaly::pg {

namespace {

struct Fold {
    bridge::Ingest* ingest;
    const RunTable* table;
    int32 aggregate;
    const uint32_t* slots;
    int32 slot_count;
    int32 next;  // index into slots
    bool in_group;
    MemoryContext context;  // of this subtransaction
};

void put_state(const Fold* fold, const StringInfoData& state) {
    check(bridge::ingest_put_state(fold->ingest, fold->table->index, fold->aggregate,
                                   fold->slots[fold->next], state.data,
                                   static_cast<uint64_t>(state.len)));
}

// As far as the groups go without an error.
void fold_step(void* opaque) {
    Fold* fold = static_cast<Fold*>(opaque);
    MemoryContextSwitchTo(fold->context);
    fold->in_group = false;  // that the owner may not call a function is not the group's fault
    KeptAggregate* kept =
        make_kept_aggregate(&fold->table->definition->aggregate_plans[fold->aggregate]);
    MemoryContext group =
        AllocSetContextCreate(fold->context, "anomaly aggregate's group", ALLOCSET_DEFAULT_SIZES);
    for (; fold->next < fold->slot_count; fold->next++) {
        CHECK_FOR_INTERRUPTS();
        MemoryContextSwitchTo(group);
        const bridge::PendingValues values = bridge::ingest_pending_values(
            fold->ingest, fold->table->index, fold->aggregate, fold->slots[fold->next]);
        fold->in_group = true;
        const StringInfoData state = fold_values(kept, values);
        fold->in_group = false;
        put_state(fold, state);
        MemoryContextReset(group);
    }
}

void fold_aggregate(Fold* fold) {
    Oid caller;
    int security_context;
    GetUserIdAndSecContext(&caller, &security_context);
    const MemoryContext outer = CurrentMemoryContext;
    fold->next = 0;
    while (fold->next < fold->slot_count) {
        fold->context = AllocSetContextCreate(outer, "anomaly aggregate", ALLOCSET_DEFAULT_SIZES);
        char reason[kReasonBytesMax];
        SetUserIdAndSecContext(fold->table->owner, security_context | SECURITY_LOCAL_USERID_CHANGE |
                                                       SECURITY_RESTRICTED_OPERATION);
        const bool done = contain(fold_step, fold, &fold->in_group, reason);
        SetUserIdAndSecContext(caller, security_context);
        if (!done) {
            put_state(fold, failed_state(reason));
            fold->next++;
        }
        MemoryContextSwitchTo(outer);
        MemoryContextDelete(fold->context);
    }
}

// True: there is something to fold.
bool find_pending(Fold* fold) {
    check(bridge::ingest_pending_slots(fold->ingest, fold->table->index, fold->aggregate,
                                       &fold->slots, &fold->slot_count));
    return fold->slot_count > 0;
}

void fold_as_pinned(void* opaque) {
    Fold* fold = static_cast<Fold*>(opaque);
    const int nest_level = apply_settings(fold->table->settings);
    fold_aggregate(fold);
    AtEOXact_GUC(true, nest_level);
}

// Why a table cannot be folded, NULL: it is. Begins a transaction when there is something to do.
char* fold_table(const StreamRun* run, const RunTable* table, bool* began) {
    for (int a = 0; a < table->definition->aggregate_count; a++) {
        if (table->definition->aggregate_plans[a].kind != AggregateKind::kFolded) continue;
        Fold fold = {table->reader->ingest, table, a, NULL, 0, 0, false, NULL};
        if (!find_pending(&fold)) continue;
        if (!*began) {
            StartTransactionCommand();
            PushActiveSnapshot(GetTransactionSnapshot());
            *began = true;
        }
        const ErrorData* error = run_in_subtransaction(fold_as_pinned, &fold, Containment::kTable);
        if (error != NULL) return MemoryContextStrdup(run->context, error->message);
    }
    return NULL;
}

// False: the extension is gone.
bool freeze_unfolded(RunTable* table, char* error) {
    const MemoryContext caller = CurrentMemoryContext;
    if (!begin_extension_transaction()) return false;
    freeze_table(table, error);
    end_extension_transaction();
    MemoryContextSwitchTo(caller);
    pfree(error);
    return true;
}

}  // namespace

bool fold_aggregates(StreamRun* run, RunReader* reader) {
    const MemoryContext caller = CurrentMemoryContext;
    for (int t = 0; t < run->table_count; t++) {
        RunTable* table = &run->tables[t];
        if (table->reader != reader) continue;
        bool began = false;
        char* error = fold_table(run, table, &began);
        if (began) {
            PopActiveSnapshot();
            CommitTransactionCommand();
            MemoryContextSwitchTo(caller);
        }
        if (error != NULL && !freeze_unfolded(table, error)) return false;
    }
    return true;
}

}  // namespace anomaly::pg
