// The bytes of a state begin with what it is; see StateMark.
#include "pg/evaluate/kept_aggregate.h"

#include "pg/value/aggregate_call.h"
#include "pg/value/cell_codec.h"
#include "pg/value/value_codec.h"

namespace anomaly::pg {

namespace {

enum StateMark : char {
    kEmptyState = 'e',  // no input has been taken yet
    kNullState = 'n',
    kValueState = 'v',   // then the value
    kFailedState = 'f',  // then why
};

// Where an entry lies, and its place in the topic.
struct Entry {
    int64 offset;
    int32 partition;
    int32 size;         // of the value, -1: NULL
    const char* value;  // or where it would be: of the rows of one message the first comes first
};

struct Entries {
    Entry* all;
    Size count;
    Size capacity;
    bool in_order;
};

}  // namespace

struct KeptAggregate {
    const AggregatePlan* plan;
    AggregateCall* call;
    bool packed;
    CellType cell;         // of the one argument, where it is not packed
    ValueCodec** columns;  // of the kept ones, where they are
    ValueCodec* state;     // NULL: internal
    Datum* values;         // one row of aggregate->args
    bool* nulls;
    ExprState** direct;
    Datum* direct_values;
    bool* direct_nulls;
    MemoryContext row_context;
};

namespace {

template <class T>
T* palloc_array_of(int count) {
    return static_cast<T*>(palloc0(sizeof(T) * static_cast<Size>(count + 1)));
}

Node* argument_at(const AggregatePlan* plan, int i) {
    return reinterpret_cast<Node*>(list_nth_node(TargetEntry, plan->aggregate->args, i)->expr);
}

void prepare_arguments(KeptAggregate* kept) {
    const AggregatePlan* plan = kept->plan;
    const int count = list_length(plan->aggregate->args);
    kept->values = palloc_array_of<Datum>(count);
    kept->nulls = palloc_array_of<bool>(count);
    for (int i = 0; i < count; i++) {
        if (!IsA(argument_at(plan, i), Const)) continue;
        const Const* constant = castNode(Const, argument_at(plan, i));
        kept->values[i] = constant->constvalue;
        kept->nulls[i] = constant->constisnull;
    }
    kept->packed = is_packed(plan->argument);
    const Node* argument = reinterpret_cast<const Node*>(plan->argument);
    if (!kept->packed) {
        kept->cell = cell_type(exprType(argument));
        return;
    }
    kept->columns = palloc_array_of<ValueCodec*>(plan->kept_count);
    for (int k = 0; k < plan->kept_count; k++) {
        kept->columns[k] = make_value_codec(exprType(argument_at(plan, plan->kept[k])));
    }
}

void prepare_direct(KeptAggregate* kept) {
    const int count = list_length(kept->plan->direct);
    kept->direct = palloc_array_of<ExprState*>(count);
    kept->direct_values = palloc_array_of<Datum>(count);
    kept->direct_nulls = palloc_array_of<bool>(count);
    for (int i = 0; i < count; i++) {
        Expr* expr = static_cast<Expr*>(list_nth(kept->plan->direct, i));
        kept->direct[i] = ExecInitExpr(expression_planner(expr), NULL);
    }
}

// ---- entries ----

int compare_entries(const void* a, const void* b) {
    const Entry* x = static_cast<const Entry*>(a);
    const Entry* y = static_cast<const Entry*>(b);
    if (x->partition != y->partition) return x->partition < y->partition ? -1 : 1;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x->value < y->value ? -1 : 1;
}

void append_entry(Entries* entries, const Entry& entry) {
    if (entries->count == entries->capacity) {
        entries->capacity = Max(entries->capacity * 2, Size{64});
        const Size size = sizeof(Entry) * entries->capacity;
        entries->all = static_cast<Entry*>(entries->all == NULL
                                               ? MemoryContextAllocHuge(CurrentMemoryContext, size)
                                               : repalloc_huge(entries->all, size));
    }
    if (entries->count > 0) {
        entries->in_order =
            entries->in_order && compare_entries(&entries->all[entries->count - 1], &entry) < 0;
    }
    entries->all[entries->count++] = entry;
}

// In the order of (partition, offset).
Entries read_entries(const char* data, uint64 size) {
    StringInfoData in = view_bytes(data, size);
    Entries entries = {};
    entries.in_order = true;
    while (in.cursor < in.len) {
        Entry entry = {};
        entry.partition = static_cast<int32>(take_varint(&in));
        entry.offset = static_cast<int64>(take_varint(&in));
        entry.size = static_cast<int32>(take_varint(&in)) - 1;
        entry.value = take_bytes(&in, static_cast<uint64>(Max(entry.size, 0)));
        append_entry(&entries, entry);
    }
    if (!entries.in_order) qsort(entries.all, entries.count, sizeof(Entry), compare_entries);
    return entries;
}

uint64 little_endian(const char* bytes) {
    uint64 word = 0;
    for (int i = 7; i >= 0; i--) word = word << 8 | static_cast<uint8>(bytes[i]);
    return word;
}

void take_entry(KeptAggregate* kept, const Entry& entry) {
    const AggregatePlan* plan = kept->plan;
    if (kept->packed) {
        StringInfoData in = view_bytes(entry.value, static_cast<uint64>(entry.size));
        for (int k = 0; k < plan->kept_count; k++) {
            const int i = plan->kept[k];
            kept->values[i] = decode_optional(kept->columns[k], &in, &kept->nulls[i]);
        }
        return;
    }
    const int i = plan->kept[0];
    kept->nulls[i] = entry.size < 0;
    if (kept->nulls[i]) return;
    uint64_t cells[3] = {};
    if (has_bytes(kept->cell.type)) {
        cells[0] = reinterpret_cast<uint64_t>(entry.value);
        cells[1] = static_cast<uint64_t>(entry.size);
    } else {
        cells[0] = little_endian(entry.value);
    }
    kept->values[i] = datum_from_cells(kept->cell, cells);
}

void add_entries(KeptAggregate* kept, const char* data, uint64 size) {
    const Entries entries = read_entries(data, size);
    for (Size e = 0; e < entries.count; e++) {
        if ((e & 0xfff) == 0) CHECK_FOR_INTERRUPTS();
        const MemoryContext caller = MemoryContextSwitchTo(kept->row_context);
        take_entry(kept, entries.all[e]);
        add_row(kept->call, kept->values, kept->nulls);
        MemoryContextSwitchTo(caller);
        MemoryContextReset(kept->row_context);
    }
    if (entries.all != NULL) pfree(entries.all);
}

// ---- states ----

void load_state(KeptAggregate* kept, const char* data, uint64 size) {
    if (size == 0) return;
    StringInfoData in = view_bytes(data, size);
    const char mark = *take_bytes(&in, 1);
    if (mark == kFailedState) {
        ereport(ERROR,
                (errcode(ERRCODE_DATA_EXCEPTION), errmsg("%s", pnstrdup(data + 1, size - 1))));
    }
    TransitionState state = {Datum{0}, mark != kValueState, mark == kEmptyState};
    if (mark == kValueState) {
        const MemoryContext caller = MemoryContextSwitchTo(group_context(kept->call));
        if (kept->state != NULL) {
            state.value = decode_value(kept->state, &in);
        } else {
            const uint64 rest = size - 1;
            bytea* bytes = cstring_to_text_with_len(take_bytes(&in, rest), static_cast<int>(rest));
            state.value = deserialize_state(kept->call, PointerGetDatum(bytes));
        }
        MemoryContextSwitchTo(caller);
    }
    set_group_state(kept->call, state);
}

StringInfoData save_state(KeptAggregate* kept) {
    const TransitionState state = group_state(kept->call);
    StringInfoData out;
    initStringInfo(&out);
    const char mark = state.is_empty ? kEmptyState : state.is_null ? kNullState : kValueState;
    appendStringInfoChar(&out, mark);
    if (mark != kValueState) return out;
    if (kept->state != NULL) {
        encode_value(kept->state, state.value, &out);
    } else {
        const bytea* bytes = DatumGetByteaPP(serialize_state(kept->call, state.value));
        appendBinaryStringInfo(&out, VARDATA_ANY(bytes),
                               static_cast<int>(VARSIZE_ANY_EXHDR(bytes)));
    }
    return out;
}

}  // namespace

KeptAggregate* make_kept_aggregate(const AggregatePlan* plan) {
    KeptAggregate* kept = palloc_array_of<KeptAggregate>(0);
    kept->plan = plan;
    kept->call = make_aggregate_call(castNode(Aggref, copyObjectImpl(plan->aggregate)));
    prepare_arguments(kept);
    prepare_direct(kept);
    const Oid state = transition_type(plan->aggregate).type;
    if (plan->kind == AggregateKind::kFolded && state != INTERNALOID) {
        kept->state = make_value_codec(state);
    }
    kept->row_context = AllocSetContextCreate(CurrentMemoryContext, "anomaly aggregate's row",
                                              ALLOCSET_DEFAULT_SIZES);
    return kept;
}

StringInfoData fold_values(KeptAggregate* kept, const bridge::PendingValues& values) {
    begin_group(kept->call);
    load_state(kept, values.state, values.state_size);
    add_entries(kept, values.entries, values.entries_size);
    return save_state(kept);
}

StringInfoData failed_state(const char* reason) {
    StringInfoData out;
    initStringInfo(&out);
    appendStringInfoChar(&out, kFailedState);
    appendStringInfoString(&out, reason);
    return out;
}

Datum kept_result(KeptAggregate* kept, const char* image, uint64 size, ExprContext* group_row,
                  bool* is_null) {
    for (int i = 0; i < list_length(kept->plan->direct); i++) {
        kept->direct_values[i] = ExecEvalExpr(kept->direct[i], group_row, &kept->direct_nulls[i]);
    }
    begin_group(kept->call);
    if (kept->plan->kind == AggregateKind::kFolded) {
        load_state(kept, image, size);
    } else {
        add_entries(kept, image, size);
    }
    return finish_group(kept->call, kept->direct_values, kept->direct_nulls, is_null);
}

}  // namespace anomaly::pg
