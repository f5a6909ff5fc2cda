// The functions of an aggregate see an AggState as their context: they ask it for the memory of the
// group, for the Aggref and whether their state is shared, and nothing else.
#include "pg/value/aggregate_call.h"

namespace anomaly::pg {

namespace {

// Rows that have to be put in order first (ORDER BY or DISTINCT within the aggregate).
struct RowSort {
    TupleDesc row;  // the aggregate's arguments, and the number of the row: equal ones keep order
    int key_count;
    AttrNumber* columns;
    Oid* operators;
    Oid* collations;
    bool* nulls_first;
    FmgrInfo* equal;  // of each key, DISTINCT; NULL otherwise
    Tuplesortstate* sort;
    TupleTableSlot* in;
    TupleTableSlot* out[2];
    int64 row_count;
};

}  // namespace

struct AggregateCall {
    Aggref* aggregate;
    AggState* node;
    AggStatePerTransData transition_node;
    AggStatePerAggData final_node;
    TransitionType type;
    int16 state_length;
    bool state_by_value;
    Datum initial;
    bool initial_is_null;
    int input_count;  // that the transition function is given
    int final_count;  // arguments of the final function, the state among them
    FmgrInfo transition;
    FmgrInfo final;  // fn_oid InvalidOid: none
    FmgrInfo serialize;
    FmgrInfo deserialize;
    FmgrInfo combine;
    FunctionCallInfo transition_call;
    TransitionState state;
    RowSort* rows;  // NULL: in the order in which they come
};

namespace {

void check_execute(Oid function, Oid role, ObjectType kind) {
    const AclResult result = function_aclcheck(function, role, ACL_EXECUTE);
    if (result != ACLCHECK_OK) aclcheck_error(result, kind, get_func_name(function));
}

Oid function_owner(Oid function) {
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for function %u", function);
    const Oid owner = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->proowner;
    ReleaseSysCache(tuple);
    return owner;
}

HeapTuple aggregate_tuple(Oid aggregate) {
    HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for aggregate %u", aggregate);
    return tuple;
}

void set_initial_state(AggregateCall* call, HeapTuple tuple) {
    const Datum initial =
        SysCacheGetAttr(AGGFNOID, tuple, Anum_pg_aggregate_agginitval, &call->initial_is_null);
    if (call->initial_is_null) return;
    Oid input, parameter;
    getTypeInputInfo(call->type.type, &input, &parameter);
    call->initial = OidInputFunctionCall(input, TextDatumGetCString(initial), parameter, -1);
}

// The functions, told of their argument types, as far as there are any.
void set_functions(AggregateCall* call, Form_pg_aggregate form) {
    Aggref* aggregate = call->aggregate;
    Oid types[FUNC_MAX_ARGS];
    const int count = get_aggregate_argtypes(aggregate, types);
    const int direct = list_length(aggregate->aggdirectargs);
    call->input_count =
        AGGKIND_IS_ORDERED_SET(form->aggkind) ? list_length(aggregate->args) : count;
    call->final_count = 1 + (form->aggfinalextra ? count : direct);
    const Oid owner = function_owner(aggregate->aggfnoid);
    check_execute(aggregate->aggfnoid, GetUserId(), OBJECT_AGGREGATE);
    check_execute(form->aggtransfn, owner, OBJECT_FUNCTION);
    Expr* expr = NULL;
    build_aggregate_transfn_expr(types, count, direct, aggregate->aggvariadic, call->type.type,
                                 aggregate->inputcollid, form->aggtransfn, InvalidOid, &expr, NULL);
    fmgr_info(form->aggtransfn, &call->transition);
    fmgr_info_set_expr(reinterpret_cast<Node*>(expr), &call->transition);
    if (OidIsValid(form->aggfinalfn)) {
        check_execute(form->aggfinalfn, owner, OBJECT_FUNCTION);
        build_aggregate_finalfn_expr(types, call->final_count, call->type.type, aggregate->aggtype,
                                     aggregate->inputcollid, form->aggfinalfn, &expr);
        fmgr_info(form->aggfinalfn, &call->final);
        fmgr_info_set_expr(reinterpret_cast<Node*>(expr), &call->final);
    }
    if (OidIsValid(form->aggserialfn)) fmgr_info(form->aggserialfn, &call->serialize);
    if (OidIsValid(form->aggdeserialfn)) fmgr_info(form->aggdeserialfn, &call->deserialize);
    if (OidIsValid(form->aggcombinefn)) fmgr_info(form->aggcombinefn, &call->combine);
}

void make_node(AggregateCall* call) {
    call->node = makeNode(AggState);
    call->node->curaggcontext = CreateStandaloneExprContext();
    call->node->tmpcontext = CreateStandaloneExprContext();
    call->transition_node.aggref = call->aggregate;
    call->final_node.aggref = call->aggregate;
    const Size size = SizeForFunctionCallInfo(static_cast<Size>(call->input_count + 1));
    call->transition_call = static_cast<FunctionCallInfo>(palloc0(size));
    InitFunctionCallInfoData(
        *call->transition_call, &call->transition, static_cast<int16>(call->input_count + 1),
        call->aggregate->inputcollid, reinterpret_cast<Node*>(call->node), NULL);
}

template <class T>
T* palloc_array_of(int count) {
    return static_cast<T*>(palloc0(sizeof(T) * static_cast<Size>(count + 1)));
}

TupleDesc row_of_arguments(const Aggref* aggregate) {
    const int count = list_length(aggregate->args);
    TupleDesc row = CreateTemplateTupleDesc(count + 1);
    for (int i = 0; i < count; i++) {
        const Node* expr =
            reinterpret_cast<Node*>(list_nth_node(TargetEntry, aggregate->args, i)->expr);
        const AttrNumber number = static_cast<AttrNumber>(i + 1);
        TupleDescInitEntry(row, number, NULL, exprType(expr), exprTypmod(expr), 0);
        TupleDescInitEntryCollation(row, number, exprCollation(expr));
    }
    TupleDescInitEntry(row, static_cast<AttrNumber>(count + 1), NULL, INT8OID, -1, 0);
    return row;
}

RowSort* make_row_sort(const Aggref* aggregate) {
    const bool distinct = aggregate->aggdistinct != NIL;
    // DISTINCT names every argument, those of ORDER BY first.
    List* keys = distinct ? aggregate->aggdistinct : aggregate->aggorder;
    RowSort* rows = palloc_array_of<RowSort>(0);
    rows->row = row_of_arguments(aggregate);
    rows->key_count = list_length(keys) + 1;
    rows->columns = palloc_array_of<AttrNumber>(rows->key_count);
    rows->operators = palloc_array_of<Oid>(rows->key_count);
    rows->collations = palloc_array_of<Oid>(rows->key_count);
    rows->nulls_first = palloc_array_of<bool>(rows->key_count);
    if (distinct) rows->equal = palloc_array_of<FmgrInfo>(rows->key_count);
    for (int k = 0; k < rows->key_count - 1; k++) {
        SortGroupClause* clause = list_nth_node(SortGroupClause, keys, k);
        const TargetEntry* entry = get_sortgroupclause_tle(clause, aggregate->args);
        rows->columns[k] = entry->resno;
        rows->operators[k] = clause->sortop;
        rows->collations[k] = exprCollation(reinterpret_cast<Node*>(entry->expr));
        rows->nulls_first[k] = clause->nulls_first;
        if (distinct) fmgr_info(get_opcode(clause->eqop), &rows->equal[k]);
    }
    rows->columns[rows->key_count - 1] = static_cast<AttrNumber>(rows->row->natts);
    rows->operators[rows->key_count - 1] = Int8LessOperator;
    rows->in = MakeSingleTupleTableSlot(rows->row, &TTSOpsVirtual);
    rows->out[0] = MakeSingleTupleTableSlot(rows->row, &TTSOpsMinimalTuple);
    rows->out[1] = MakeSingleTupleTableSlot(rows->row, &TTSOpsMinimalTuple);
    return rows;
}

// ---- transitions ----

// As nodeAgg does it: the new state lives with the group, the old one goes.
Datum keep_state(AggregateCall* call, Datum fresh, bool fresh_is_null) {
    const MemoryContext caller = MemoryContextSwitchTo(group_context(call));
    const int16 length = call->state_length;
    if (fresh_is_null) {
        fresh = Datum{0};
    } else if (!DatumIsReadWriteExpandedObject(fresh, false, length) ||
               MemoryContextGetParent(DatumGetEOHP(fresh)->eoh_context) != CurrentMemoryContext) {
        fresh = datumCopy(fresh, false, length);
    }
    if (!call->state.is_null) {
        if (DatumIsReadWriteExpandedObject(call->state.value, false, length)) {
            DeleteExpandedObject(call->state.value);
        } else {
            pfree(DatumGetPointer(call->state.value));
        }
    }
    MemoryContextSwitchTo(caller);
    return fresh;
}

void take_first(AggregateCall* call, Datum value) {
    const MemoryContext caller = MemoryContextSwitchTo(group_context(call));
    call->state = {datumCopy(value, call->state_by_value, call->state_length), false, false};
    MemoryContextSwitchTo(caller);
}

void advance(AggregateCall* call, const Datum* values, const bool* nulls) {
    FunctionCallInfo info = call->transition_call;
    if (call->transition.fn_strict) {
        for (int i = 0; i < call->input_count; i++) {
            if (nulls[i]) return;
        }
        if (call->state.is_empty) {
            take_first(call, values[0]);
            return;
        }
        if (call->state.is_null) return;
    }
    for (int i = 0; i < call->input_count; i++) {
        info->args[i + 1].value = values[i];
        info->args[i + 1].isnull = nulls[i];
    }
    info->args[0].value = call->state.value;
    info->args[0].isnull = call->state.is_null;
    info->isnull = false;
    MemoryContext temporary = call->node->tmpcontext->ecxt_per_tuple_memory;
    const MemoryContext caller = MemoryContextSwitchTo(temporary);
    call->node->curpertrans = &call->transition_node;
    Datum fresh = FunctionCallInvoke(info);
    call->node->curpertrans = NULL;
    if (!call->state_by_value &&
        (info->isnull || DatumGetPointer(fresh) != DatumGetPointer(call->state.value) ||
         call->state.is_null)) {
        fresh = keep_state(call, fresh, info->isnull);
    }
    call->state = {fresh, info->isnull, false};
    MemoryContextSwitchTo(caller);
    MemoryContextReset(temporary);
}

void sort_row(RowSort* rows, const Datum* values, const bool* nulls) {
    const int count = rows->row->natts - 1;
    ExecClearTuple(rows->in);
    memcpy(rows->in->tts_values, values, sizeof(Datum) * static_cast<Size>(count));
    memcpy(rows->in->tts_isnull, nulls, sizeof(bool) * static_cast<Size>(count));
    rows->in->tts_values[count] = Int64GetDatum(rows->row_count++);
    rows->in->tts_isnull[count] = false;
    ExecStoreVirtualTuple(rows->in);
    tuplesort_puttupleslot(rows->sort, rows->in);
}

bool equal_rows(const RowSort* rows, TupleTableSlot* a, TupleTableSlot* b) {
    for (int k = 0; k < rows->key_count - 1; k++) {
        bool a_is_null, b_is_null;
        const Datum x = slot_getattr(a, rows->columns[k], &a_is_null);
        const Datum y = slot_getattr(b, rows->columns[k], &b_is_null);
        if (a_is_null != b_is_null) return false;
        if (!a_is_null &&
            !DatumGetBool(FunctionCall2Coll(&rows->equal[k], rows->collations[k], x, y))) {
            return false;
        }
    }
    return true;
}

void advance_sorted(AggregateCall* call) {
    RowSort* rows = call->rows;
    tuplesort_performsort(rows->sort);
    TupleTableSlot* before = NULL;
    int turn = 0;
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        TupleTableSlot* row = rows->out[turn];
        if (!tuplesort_gettupleslot(rows->sort, true, true, row, NULL)) break;
        slot_getallattrs(row);
        if (rows->equal != NULL && before != NULL && equal_rows(rows, before, row)) continue;
        advance(call, row->tts_values, row->tts_isnull);
        before = row;
        turn = 1 - turn;
    }
    tuplesort_end(rows->sort);
    rows->sort = NULL;
    ExecClearTuple(rows->out[0]);
    ExecClearTuple(rows->out[1]);
}

Datum call_final(AggregateCall* call, const Datum* direct, const bool* direct_nulls,
                 bool* is_null) {
    LOCAL_FCINFO(info, FUNC_MAX_ARGS);
    InitFunctionCallInfoData(*info, &call->final, static_cast<int16>(call->final_count),
                             call->aggregate->inputcollid, reinterpret_cast<Node*>(call->node),
                             NULL);
    const int direct_count = list_length(call->aggregate->aggdirectargs);
    info->args[0].value =
        MakeExpandedObjectReadOnly(call->state.value, call->state.is_null, call->state_length);
    info->args[0].isnull = call->state.is_null;
    bool any_null = call->state.is_null;
    for (int i = 1; i < call->final_count; i++) {
        const bool given = i <= direct_count;
        info->args[i].value = given ? direct[i - 1] : Datum{0};
        info->args[i].isnull = !given || direct_nulls[i - 1];
        any_null = any_null || info->args[i].isnull;
    }
    *is_null = true;
    if (call->final.fn_strict && any_null) return Datum{0};
    call->node->curperagg = &call->final_node;
    const Datum result = FunctionCallInvoke(info);
    call->node->curperagg = NULL;
    *is_null = info->isnull;
    return result;
}

// What is deserialized is made to be combined, not to be continued: the states of variances leave
// the sums of squares alone from then on.
Datum combine_with_none(AggregateCall* call, Datum state) {
    if (!OidIsValid(call->combine.fn_oid) || call->combine.fn_strict) return state;
    LOCAL_FCINFO(info, 2);
    InitFunctionCallInfoData(*info, &call->combine, 2, call->aggregate->inputcollid,
                             reinterpret_cast<Node*>(call->node), NULL);
    info->args[0].value = Datum{0};
    info->args[0].isnull = true;
    info->args[1].value = state;
    info->args[1].isnull = false;
    return FunctionCallInvoke(info);
}

}  // namespace

TransitionType transition_type(const Aggref* aggregate) {
    HeapTuple tuple = aggregate_tuple(aggregate->aggfnoid);
    const Form_pg_aggregate form = reinterpret_cast<Form_pg_aggregate>(GETSTRUCT(tuple));
    Oid types[FUNC_MAX_ARGS];
    const int count = get_aggregate_argtypes(const_cast<Aggref*>(aggregate), types);
    const TransitionType result = {
        resolve_aggregate_transtype(aggregate->aggfnoid, form->aggtranstype, types, count),
        form->aggtransfn, form->aggserialfn, form->aggdeserialfn};
    ReleaseSysCache(tuple);
    return result;
}

AggregateCall* make_aggregate_call(Aggref* aggregate) {
    AggregateCall* call = palloc_array_of<AggregateCall>(0);
    call->aggregate = aggregate;
    call->type = transition_type(aggregate);
    aggregate->aggtranstype = call->type.type;
    get_typlenbyval(call->type.type, &call->state_length, &call->state_by_value);
    HeapTuple tuple = aggregate_tuple(aggregate->aggfnoid);
    set_initial_state(call, tuple);
    set_functions(call, reinterpret_cast<Form_pg_aggregate>(GETSTRUCT(tuple)));
    ReleaseSysCache(tuple);
    make_node(call);
    const bool sorted = aggregate->aggdistinct != NIL || aggregate->aggorder != NIL;
    if (sorted && !AGGKIND_IS_ORDERED_SET(aggregate->aggkind)) {
        call->rows = make_row_sort(aggregate);
    }
    return call;
}

void begin_group(AggregateCall* call) {
    ReScanExprContext(call->node->curaggcontext);
    const MemoryContext caller = MemoryContextSwitchTo(group_context(call));
    call->state = {Datum{0}, call->initial_is_null, call->initial_is_null};
    if (!call->initial_is_null) {
        call->state.value = datumCopy(call->initial, call->state_by_value, call->state_length);
    }
    if (RowSort* rows = call->rows; rows != NULL) {
        rows->sort = tuplesort_begin_heap(rows->row, rows->key_count, rows->columns,
                                          rows->operators, rows->collations, rows->nulls_first,
                                          work_mem, NULL, TUPLESORT_NONE);
        rows->row_count = 0;
    }
    MemoryContextSwitchTo(caller);
}

void add_row(AggregateCall* call, const Datum* values, const bool* nulls) {
    if (call->rows != NULL) {
        sort_row(call->rows, values, nulls);
    } else {
        advance(call, values, nulls);
    }
}

Datum finish_group(AggregateCall* call, const Datum* direct, const bool* direct_nulls,
                   bool* is_null) {
    if (call->rows != NULL) advance_sorted(call);
    Datum result = call->state.value;
    *is_null = call->state.is_null;
    if (OidIsValid(call->final.fn_oid)) result = call_final(call, direct, direct_nulls, is_null);
    if (!*is_null) {
        int16 length;
        bool by_value;
        get_typlenbyval(call->aggregate->aggtype, &length, &by_value);
        result = datumCopy(result, by_value, length);
    }
    ReScanExprContext(call->node->curaggcontext);  // sorts of ordered-set aggregates end here
    return result;
}

TransitionState group_state(const AggregateCall* call) {
    return call->state;
}

void set_group_state(AggregateCall* call, const TransitionState& state) {
    call->state = state;
}

MemoryContext group_context(const AggregateCall* call) {
    return call->node->curaggcontext->ecxt_per_tuple_memory;
}

Datum serialize_state(AggregateCall* call, Datum state) {
    LOCAL_FCINFO(info, 1);
    InitFunctionCallInfoData(*info, &call->serialize, 1, InvalidOid,
                             reinterpret_cast<Node*>(call->node), NULL);
    info->args[0].value = state;
    info->args[0].isnull = false;
    return FunctionCallInvoke(info);
}

Datum deserialize_state(AggregateCall* call, Datum bytes) {
    LOCAL_FCINFO(info, 2);
    InitFunctionCallInfoData(*info, &call->deserialize, 2, InvalidOid,
                             reinterpret_cast<Node*>(call->node), NULL);
    info->args[0].value = bytes;
    info->args[0].isnull = false;
    info->args[1].value = Datum{0};  // as the executor: internal, never looked at
    info->args[1].isnull = false;
    return combine_with_none(call, FunctionCallInvoke(info));
}

}  // namespace anomaly::pg
