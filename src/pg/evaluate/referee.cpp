// One request at a time. The rows of a request are answered one after the other in a
// subtransaction; a row that raises an error ends it and is rejected, and the next subtransaction
// goes on behind it: a batch without errors costs one, each bad row one more. What a subtransaction
// has built (caches of type input functions, expression states) goes with it, since an error may
// have left it halfway. A table whose expression cannot even be built takes no part any more.
#include "pg/evaluate/referee.h"

#include "pg/query/aggregate_plan.h"
#include "pg/query/key_identity.h"
#include "pg/server/call.h"
#include "pg/server/contain.h"
#include "pg/server/pinned_settings.h"
#include "pg/stream/message_judge.h"
#include "pg/value/value_codec.h"

namespace anomaly::pg {

namespace {

constexpr int32 kStreamItself = -1;  // Request::table of a generated column
constexpr int kMaxCells = 3;

struct Expression {
    int32 table;
    int32 number;
    Index varno;
    Expr* expr;
    CellType type;
    EvaluationTerms terms;
    KeyIdentity* identity;  // of a group key, NULL: none
};

}  // namespace

struct Referee {
    const StreamDefinition* stream;
    Oid userid;
    MemoryContext context;
    MemoryContext expression_context;
    List* expressions;  // of Expression*, but for the generated columns
    // The request at hand.
    bridge::Ingest* ingest;
    bridge::Request request;
    int32 next_row;    // index into request.rows
    bool in_row;       // an error now is the row's fault
    bool containable;  // that, or it is the table's
    MemoryContext run_context;
    MessageJudge* judge;  // of this subtransaction, NULL: not a kDecode request
    List* broken;         // of BrokenTable*, since the last referee_run
};

namespace {

Expression find_expression(const Referee* referee, int32 table, int32 number) {
    const StreamDefinition* stream = referee->stream;
    if (table == kStreamItself && number >= 0 && number < stream->spec.column_count &&
        stream->generated[number] != NULL) {
        return {table,
                number,
                1,
                reinterpret_cast<Expr*>(stream->generated[number]),
                stream->types[number],
                {referee->userid, stream->settings},
                NULL};
    }
    ListCell* cell;
    foreach (cell, referee->expressions) {
        const Expression* expression = static_cast<const Expression*>(lfirst(cell));
        if (expression->table == table && expression->number == number) return *expression;
    }
    elog(ERROR, "no expression %d of table %d of stream %s", number, table, stream->name);
}

void begin_row(Referee* referee) {
    referee->in_row = referee->containable = true;
}

void end_row(Referee* referee) {
    referee->in_row = referee->containable = false;
}

// ---- kDecode ----

struct RowValues {
    Datum* values;  // by column
    bool* nulls;
};

RowValues make_values(const StreamDefinition* stream) {
    const Size count = static_cast<Size>(stream->spec.column_count + 1);
    return {static_cast<Datum*>(palloc0(sizeof(Datum) * count)),
            static_cast<bool*>(palloc0(sizeof(bool) * count))};
}

void put_values(const Referee* referee, int32 row, const RowValues& values) {
    const StreamDefinition* stream = referee->stream;
    for (int c = 0; c < stream->spec.column_count; c++) {
        if (!stream->spec.columns[c].used || values.nulls[c]) continue;
        uint64_t cells[kMaxCells] = {};
        cells_from_datum(stream->types[c], values.values[c], cells);
        check(bridge::ingest_put_value(referee->ingest, row, c, cells));
    }
}

// All rows of the message are judged before one of them is given to core: it is good or bad as a
// whole.
void decode_message(Referee* referee, int32 row) {
    const int count = judge_message(referee->judge, bridge::ingest_message(referee->ingest, row));
    RowValues* rows =
        static_cast<RowValues*>(palloc(sizeof(RowValues) * static_cast<Size>(count + 1)));
    for (int r = 0; r < count; r++) {
        rows[r] = make_values(referee->stream);
        judge_row(referee->judge, r, rows[r].values, rows[r].nulls);
    }
    end_row(referee);
    if (count == 0) check(bridge::ingest_drop_row(referee->ingest, row));
    for (int r = 0; r < count; r++) {
        int32 target = row;
        if (r > 0) check(bridge::ingest_add_row(referee->ingest, row, &target));
        put_values(referee, target, rows[r]);
    }
}

void decode_texts(Referee* referee, int32 row) {
    const RowValues values = make_values(referee->stream);
    judge_texts(referee->judge, referee->ingest, row, values.values, values.nulls);
    end_row(referee);
    put_values(referee, row, values);
}

void decode_rows(Referee* referee, ExprContext* econtext) {
    const bool is_json = referee->stream->spec.format == Format::kJson;
    referee->judge = judge_create(referee->stream);
    for (; referee->next_row < referee->request.row_count; referee->next_row++) {
        const int32 row = referee->request.rows[referee->next_row];
        const MemoryContext caller = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
        begin_row(referee);
        if (is_json) {
            decode_message(referee, row);
        } else {
            decode_texts(referee, row);
        }
        MemoryContextSwitchTo(caller);
        ResetExprContext(econtext);
    }
}

// ---- kEvaluate ----

// The columns that an expression reads, as the attributes of a slot.
struct Inputs {
    int count;
    int* columns;
    ColumnView* views;
};

Inputs find_inputs(const Referee* referee, const Expression& expression) {
    Bitmapset* attributes = NULL;
    pull_varattnos(reinterpret_cast<Node*>(expression.expr), expression.varno, &attributes);
    const Size size = static_cast<Size>(bms_num_members(attributes) + 1);
    Inputs inputs = {0, static_cast<int*>(palloc(sizeof(int) * size)),
                     static_cast<ColumnView*>(palloc(sizeof(ColumnView) * size))};
    int member = -1;
    while ((member = bms_next_member(attributes, member)) >= 0) {
        const int attribute = member + FirstLowInvalidHeapAttributeNumber;
        if (attribute <= 0) elog(ERROR, "whole-row reference in an expression over a stream");
        inputs.columns[inputs.count] = attribute - 1;
        inputs.views[inputs.count] = bridge::ingest_column(referee->ingest, attribute - 1);
        inputs.count++;
    }
    return inputs;
}

void fill_slot(const Referee* referee, const Inputs& inputs, int32 row, TupleTableSlot* slot) {
    ExecClearTuple(slot);
    for (int i = 0; i < inputs.count; i++) {
        const int c = inputs.columns[i];
        const ColumnView* view = &inputs.views[i];
        if (row >= view->row_count) elog(ERROR, "column %d of the stream was not read", c + 1);
        const bool is_null = view->nulls != NULL && view->nulls[row] != 0;
        slot->tts_isnull[c] = is_null;
        if (is_null) continue;
        const uint64_t* cells =
            view->cells + static_cast<Size>(row) * static_cast<Size>(stride(view->type));
        slot->tts_values[c] = datum_from_cells(referee->stream->types[c], cells);
    }
    ExecStoreVirtualTuple(slot);
}

// What an expression is evaluated with: one state, or one for each column of a packed row.
struct Evaluator {
    CellType type;
    KeyIdentity* identity;
    ExprState* state;
    int column_count;
    ExprState** columns;
    ValueCodec** codecs;
};

Evaluator make_evaluator(const Expression& expression) {
    Evaluator evaluator = {};
    evaluator.type = expression.type;
    evaluator.identity = expression.identity;
    if (!is_packed(expression.expr)) {
        evaluator.state = ExecInitExpr(expression_planner(expression.expr), NULL);
        return evaluator;
    }
    List* columns = castNode(RowExpr, expression.expr)->args;
    const Size size = static_cast<Size>(list_length(columns) + 1);
    evaluator.columns = static_cast<ExprState**>(palloc0(sizeof(ExprState*) * size));
    evaluator.codecs = static_cast<ValueCodec**>(palloc0(sizeof(ValueCodec*) * size));
    ListCell* cell;
    foreach (cell, columns) {
        Expr* column = static_cast<Expr*>(lfirst(cell));
        const int i = evaluator.column_count++;
        evaluator.columns[i] = ExecInitExpr(expression_planner(column), NULL);
        evaluator.codecs[i] = make_value_codec(exprType(reinterpret_cast<Node*>(column)));
    }
    return evaluator;
}

// False: NULL.
bool evaluate(const Evaluator& evaluator, ExprContext* econtext, uint64_t* cells) {
    bool is_null = false;
    if (evaluator.state != NULL) {
        const Datum value = ExecEvalExpr(evaluator.state, econtext, &is_null);
        if (is_null) return false;
        if (evaluator.identity != NULL) {
            identify_key(evaluator.identity, value, cells);
        } else {
            cells_from_datum(evaluator.type, value, cells);
        }
        return true;
    }
    StringInfoData bytes;
    initStringInfo(&bytes);
    for (int i = 0; i < evaluator.column_count; i++) {
        const Datum value = ExecEvalExpr(evaluator.columns[i], econtext, &is_null);
        encode_optional(evaluator.codecs[i], value, is_null, &bytes);
    }
    cells[0] = reinterpret_cast<uint64_t>(bytes.data);
    cells[1] = static_cast<uint64_t>(bytes.len);
    return true;
}

void evaluate_rows(Referee* referee, ExprContext* econtext) {
    const Expression expression =
        find_expression(referee, referee->request.table, referee->request.expression);
    const Inputs inputs = find_inputs(referee, expression);
    TupleTableSlot* slot = MakeSingleTupleTableSlot(referee->stream->descriptor, &TTSOpsVirtual);
    memset(slot->tts_isnull, true, static_cast<Size>(referee->stream->descriptor->natts));
    // That the owner may not call a function any more is his table's affair.
    referee->containable = expression.table != kStreamItself;
    const Evaluator evaluator = make_evaluator(expression);
    referee->containable = false;
    econtext->ecxt_scantuple = slot;
    for (; referee->next_row < referee->request.row_count; referee->next_row++) {
        const int32 row = referee->request.rows[referee->next_row];
        const MemoryContext caller = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
        fill_slot(referee, inputs, row, slot);
        uint64_t cells[kMaxCells] = {};
        begin_row(referee);
        const bool present = evaluate(evaluator, econtext, cells);
        end_row(referee);
        if (present) check(bridge::ingest_put_value(referee->ingest, row, 0, cells));
        MemoryContextSwitchTo(caller);
        ResetExprContext(econtext);
    }
}

// ---- requests ----

// As far as the rows go without an error.
void answer_rows(void* opaque) {
    Referee* referee = static_cast<Referee*>(opaque);
    end_row(referee);
    referee->judge = NULL;
    MemoryContextSwitchTo(referee->run_context);
    ExprContext* econtext = CreateStandaloneExprContext();
    if (referee->request.need == bridge::Need::kDecode) {
        decode_rows(referee, econtext);
    } else {
        evaluate_rows(referee, econtext);
    }
    FreeExprContext(econtext, true);
}

void reject_row(Referee* referee, const char* reason) {
    const int32 row = referee->request.rows[referee->next_row];
    const char* place = NULL;
    if (referee->judge != NULL) {
        place = judge_place(referee->judge);
    } else if (referee->request.table == kStreamItself) {
        const int c = referee->request.expression;
        place = psprintf("column \"%s\"",
                         NameStr(TupleDescAttr(referee->stream->descriptor, c)->attname));
    }
    if (place != NULL) reason = psprintf("%s: %s", place, reason);
    check(bridge::ingest_reject(referee->ingest, row, reason));
}

// The request at hand goes with the table.
void give_up_table(Referee* referee, const char* reason) {
    const MemoryContext caller = MemoryContextSwitchTo(referee->context);
    BrokenTable* broken = static_cast<BrokenTable*>(palloc(sizeof(BrokenTable)));
    *broken = {referee->request.table, pstrdup(reason)};
    referee->broken = lappend(referee->broken, broken);
    MemoryContextSwitchTo(caller);
    bridge::ingest_remove_table(referee->ingest, broken->table);
    referee->request.row_count = 0;
}

EvaluationTerms terms_of_request(const Referee* referee) {
    if (referee->request.need == bridge::Need::kDecode) {
        return {referee->userid, referee->stream->settings};
    }
    return find_expression(referee, referee->request.table, referee->request.expression).terms;
}

// Runs as the owner, and as nothing more.
void answer_request(Referee* referee) {
    const EvaluationTerms terms = terms_of_request(referee);
    const int nest_level = apply_settings(terms.settings);
    Oid caller;
    int security_context;
    GetUserIdAndSecContext(&caller, &security_context);
    referee->next_row = 0;
    while (referee->next_row < referee->request.row_count) {
        referee->run_context =
            AllocSetContextCreate(referee->context, "anomaly referee", ALLOCSET_DEFAULT_SIZES);
        const MemoryContext outer = MemoryContextSwitchTo(referee->run_context);
        char reason[kReasonBytesMax];
        SetUserIdAndSecContext(terms.userid, security_context | SECURITY_LOCAL_USERID_CHANGE |
                                                 SECURITY_RESTRICTED_OPERATION);
        const bool done = contain(answer_rows, referee, &referee->containable, reason);
        SetUserIdAndSecContext(caller, security_context);
        if (!done && referee->in_row) {
            reject_row(referee, reason);
            referee->next_row++;
        } else if (!done) {
            give_up_table(referee, reason);
        }
        MemoryContextSwitchTo(outer);
        MemoryContextDelete(referee->run_context);
        CHECK_FOR_INTERRUPTS();
    }
    AtEOXact_GUC(false, nest_level);
}

}  // namespace

Referee* referee_create(const StreamDefinition* stream, Oid userid, MemoryContext context) {
    Referee* referee = static_cast<Referee*>(MemoryContextAllocZero(context, sizeof(Referee)));
    referee->stream = stream;
    referee->userid = userid;
    referee->context = context;
    referee->expression_context =
        AllocSetContextCreate(context, "anomaly referee's expressions", ALLOCSET_SMALL_SIZES);
    return referee;
}

void referee_add_expression(Referee* referee, int32 table, int32 expression, const Expr* expr,
                            Index stream_varno, const EvaluationTerms& terms,
                            KeyIdentity* identity) {
    const MemoryContext caller = MemoryContextSwitchTo(referee->expression_context);
    const Node* node = reinterpret_cast<const Node*>(expr);
    Expression* entry = static_cast<Expression*>(palloc(sizeof(Expression)));
    *entry = {table,
              expression,
              stream_varno,
              static_cast<Expr*>(copyObjectImpl(expr)),
              cell_type(exprType(node)),
              {terms.userid, pstrdup(terms.settings)},
              identity};
    referee->expressions = lappend(referee->expressions, entry);
    MemoryContextSwitchTo(caller);
}

void referee_clear_expressions(Referee* referee) {
    referee->expressions = NIL;
    MemoryContextReset(referee->expression_context);
}

const List* referee_run(Referee* referee, bridge::Ingest* ingest) {
    const MemoryContext caller = CurrentMemoryContext;
    bool began_transaction = false;
    bool pushed_snapshot = false;
    referee->ingest = ingest;
    referee->broken = NIL;
    for (;;) {
        check(bridge::ingest_next(ingest, &referee->request));
        if (referee->request.need == bridge::Need::kNothing) break;
        if (!IsTransactionState()) {
            StartTransactionCommand();
            began_transaction = true;
        }
        if (!ActiveSnapshotSet()) {
            PushActiveSnapshot(GetTransactionSnapshot());
            pushed_snapshot = true;
        }
        answer_request(referee);
    }
    if (pushed_snapshot) PopActiveSnapshot();
    if (began_transaction) CommitTransactionCommand();
    MemoryContextSwitchTo(caller);
    return referee->broken;
}

}  // namespace anomaly::pg
