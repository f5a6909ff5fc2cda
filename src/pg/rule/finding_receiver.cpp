// From rows of a rule query to findings.
#include "pg/rule/finding_receiver.h"

#include "pg/rule/finding.h"

namespace anomaly::pg {

namespace {

Datum at(const TupleTableSlot* slot, RuleQueryColumn column) {
    return slot->tts_values[column - 1];
}

bool is_there(const TupleTableSlot* slot, RuleQueryColumn column) {
    return !slot->tts_isnull[column - 1];
}

const char* text_at(const TupleTableSlot* slot, RuleQueryColumn column) {
    return is_there(slot, column) ? TextDatumGetCString(at(slot, column)) : NULL;
}

Finding* make_finding(const Rule* rule, const TupleTableSlot* slot) {
    Finding* finding = static_cast<Finding*>(palloc0(sizeof(Finding)));
    finding->rule = rule;
    finding->series = PointerGetDatum(PG_DETOAST_DATUM_COPY(at(slot, kRuleSeries)));
    finding->has_window = is_there(slot, kRuleWindowStart);
    if (finding->has_window) {
        finding->window_start = DatumGetTimestampTz(at(slot, kRuleWindowStart));
        finding->window_end = DatumGetTimestampTz(at(slot, kRuleWindowEnd));
    }
    finding->has_message = is_there(slot, kRulePartition);
    if (finding->has_message) {
        finding->partition = DatumGetInt32(at(slot, kRulePartition));
        finding->offset = DatumGetInt64(at(slot, kRuleOffset));
    }
    finding->severity = text_at(slot, kRuleSeverity);
    finding->has_value = is_there(slot, kRuleValue);
    if (finding->has_value) finding->value = DatumGetFloat8(at(slot, kRuleValue));
    finding->has_threshold = is_there(slot, kRuleThreshold);
    if (finding->has_threshold) finding->threshold = DatumGetFloat8(at(slot, kRuleThreshold));
    finding->message = text_at(slot, kRuleMessage);
    return finding;
}

bool receive(TupleTableSlot* slot, DestReceiver* self) {
    FindingReceiver* receiver = reinterpret_cast<FindingReceiver*>(self);
    slot_getallattrs(slot);
    const int32 number = DatumGetInt32(at(slot, kRuleNumber));
    const int32 ordinal = DatumGetInt32(at(slot, kRuleOrdinal));
    const bool same_row = number == receiver->number && ordinal == receiver->ordinal;
    receiver->position = same_row ? receiver->position + 1 : 0;
    receiver->number = number;
    receiver->ordinal = ordinal;
    receiver->row_count++;
    Rule* rule = receiver->rules[number];
    if (rule->finding_count == kMaxFindings) {
        rule->dropped_count++;
        return true;
    }
    rule->finding_count++;
    const MemoryContext caller = MemoryContextSwitchTo(receiver->target);
    Finding* finding = make_finding(rule, slot);
    finding->position = receiver->position;
    receiver->findings = lappend(receiver->findings, finding);
    MemoryContextSwitchTo(caller);
    return true;
}

void start_up(DestReceiver*, int, TupleDesc) {}
void shut_down(DestReceiver*) {}

}  // namespace

FindingReceiver make_finding_receiver(Rule* const* rules, MemoryContext target) {
    const DestReceiver functions = {receive, start_up, shut_down, shut_down, DestTuplestore};
    return {functions, rules, target, NIL, 0, -1, -1, 0};
}

}  // namespace anomaly::pg
