// Finds the rules that rows can be of interest to, by hashes of their keys. A hash that is the same
// by chance costs an evaluation: the query has the last word.
#include "pg/rule/rule_filter.h"

#include "pg/rule/rule_query.h"

namespace anomaly::pg {

namespace {

// ---- the keys of rules ----

uint64 mix(uint64 hash, const char* bytes, int length) {
    return hash_bytes_extended(reinterpret_cast<const unsigned char*>(bytes), length, hash);
}

// parameters ->> name; NULL: there is none.
const text* parameter_text(const Rule* rule, const char* name) {
    LOCAL_FCINFO(call, 2);
    InitFunctionCallInfoData(*call, NULL, 2, DEFAULT_COLLATION_OID, NULL, NULL);
    call->args[0] = {rule->call.parameters_value, false};
    call->args[1] = {CStringGetTextDatum(name), false};
    const Datum value = jsonb_object_field_text(call);
    return call->isnull ? NULL : DatumGetTextPP(value);
}

// Written as PostgreSQL itself writes it, and in range: then equal numbers have equal texts.
bool is_plain_integer(const char* digits, int length, Oid type) {
    constexpr int kMostDigits = 18;
    const int sign = length > 0 && digits[0] == '-' ? 1 : 0;
    if (length - sign < 1 || length - sign > kMostDigits) return false;
    if (digits[sign] == '0' && length > 1) return false;
    int64 number = 0;
    for (int i = sign; i < length; i++) {
        if (digits[i] < '0' || digits[i] > '9') return false;
        number = number * 10 + (digits[i] - '0');
    }
    const int64 largest = type == INT2OID ? PG_INT16_MAX : type == INT4OID ? PG_INT32_MAX : number;
    return number <= largest + sign;
}

enum class KeyKind : uint8 {
    kHash,
    kAny,   // it has to be evaluated to know
    kNone,  // a NULL is equal to nothing
};

KeyKind hash_parameters(const RuleKeys* keys, const Rule* rule, uint64* hash) {
    KeyKind kind = KeyKind::kHash;
    *hash = 0;
    for (int i = 0; i < keys->count; i++) {
        const RuleKey* key = &keys->keys[i];
        const text* value = parameter_text(rule, key->name);
        if (value == NULL) return KeyKind::kNone;
        const char* bytes = VARDATA_ANY(value);
        const int length = static_cast<int>(VARSIZE_ANY_EXHDR(value));
        if (key->type != TEXTOID && !is_plain_integer(bytes, length, key->type)) {
            kind = KeyKind::kAny;
        }
        *hash = mix(*hash, bytes, length);
    }
    return kind;
}

int compare_hashes(const void* a, const void* b) {
    const uint64 left = static_cast<const HashedRule*>(a)->hash;
    const uint64 right = static_cast<const HashedRule*>(b)->hash;
    return left < right ? -1 : left > right ? 1 : 0;
}

void hash_rules(RuleFilter* filter, const RuleGroup* group) {
    const Size capacity = static_cast<Size>(group->member_count) + 1;
    filter->hashed = static_cast<HashedRule*>(
        MemoryContextAlloc(filter->context, sizeof(HashedRule) * capacity));
    filter->always =
        static_cast<Rule**>(MemoryContextAlloc(filter->context, sizeof(Rule*) * capacity));
    for (int i = 0; i < group->member_count; i++) {
        Rule* rule = group->members[i];
        uint64 hash = 0;
        const KeyKind kind = hash_parameters(&filter->keys, rule, &hash);
        if (kind == KeyKind::kHash) filter->hashed[filter->hashed_count++] = {hash, rule};
        if (kind == KeyKind::kAny) filter->always[filter->always_count++] = rule;
    }
    qsort(filter->hashed, static_cast<size_t>(filter->hashed_count), sizeof(HashedRule),
          compare_hashes);
}

// ---- the keys of rows ----

// False: a NULL is among them.
bool hash_row(const RuleKeys* keys, const TupleTableSlot* slot, uint64* hash) {
    *hash = 0;
    for (int i = 0; i < keys->count; i++) {
        const int at = keys->keys[i].column - 1;
        if (slot->tts_isnull[at]) return false;
        const Datum value = slot->tts_values[at];
        if (keys->keys[i].type == TEXTOID) {
            const text* bytes = DatumGetTextPP(value);
            *hash = mix(*hash, VARDATA_ANY(bytes), static_cast<int>(VARSIZE_ANY_EXHDR(bytes)));
            if (PointerGetDatum(bytes) != value) pfree(const_cast<text*>(bytes));
            continue;
        }
        const int16 size = TupleDescAttr(slot->tts_tupleDescriptor, at)->attlen;
        const int64 number = size == sizeof(int64)   ? DatumGetInt64(value)
                             : size == sizeof(int32) ? DatumGetInt32(value)
                                                     : DatumGetInt16(value);
        char digits[32];
        *hash = mix(*hash, digits, pg_lltoa(number, digits));
    }
    return true;
}

struct Matches {
    const RuleGroup* group;
    Rule** rules;
    int count;
};

// Who has left the group is still in its filter.
void add(Matches* matches, Rule* rule) {
    if (rule->group == NULL || rule->matched_in == matches->group->round) return;
    rule->matched_in = matches->group->round;
    matches->rules[matches->count++] = rule;
}

void add_all_of(Matches* matches, uint64 hash) {
    const RuleFilter* filter = &matches->group->filter;
    int low = 0;
    int high = filter->hashed_count;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (filter->hashed[middle].hash < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < filter->hashed_count && filter->hashed[low].hash == hash; low++) {
        add(matches, filter->hashed[low].rule);
    }
}

void add_those_of_rows(Matches* matches, const CollectedRows& rows) {
    const RuleGroup* group = matches->group;
    const bool on_close = group->members[0]->on_close;
    const int due = SPI_fnumber(rows.columns, on_close ? kClosedColumn : kChangedColumn) - 1;
    TupleTableSlot* slot = MakeSingleTupleTableSlot(rows.columns, &TTSOpsMinimalTuple);
    // Queries have read pointers of their own.
    tuplestore_select_read_pointer(rows.store, 0);
    tuplestore_rescan(rows.store);
    while (matches->count < group->member_count &&
           tuplestore_gettupleslot(rows.store, true, false, slot)) {
        slot_getallattrs(slot);
        uint64 hash = 0;
        if (DatumGetBool(slot->tts_values[due]) && hash_row(&group->filter.keys, slot, &hash)) {
            add_all_of(matches, hash);
        }
    }
    ExecDropSingleTupleTableSlot(slot);
}

int compare_places(const void* a, const void* b) {
    const Rule* left = *static_cast<Rule* const*>(a);
    const Rule* right = *static_cast<Rule* const*>(b);
    return left < right ? -1 : left > right ? 1 : 0;
}

const CachedPlanSource* source_of(const RuleGroup* group) {
    const List* sources = SPI_plan_get_plan_sources(group->plan.prepared);
    return static_cast<const CachedPlanSource*>(linitial(sources));
}

}  // namespace

bool filter_is_current(const RuleGroup* group) {
    if (group->plan.prepared == NULL || group->filter.context == NULL) return false;
    const CachedPlanSource* source = source_of(group);
    const CachedPlan* plan = source->gplan;
    return source->is_valid && plan != NULL && plan->is_valid &&
           plan->generation == group->filter.generation;
}

void make_filter(RuleSet* set, RuleGroup* group) {
    RuleFilter* filter = &group->filter;
    if (filter->context != NULL) MemoryContextDelete(filter->context);
    *filter = {};
    // First the plan: what it depends on is then watched while the query is looked through.
    CachedPlan* plan = SPI_plan_get_cached_plan(group->plan.prepared);
    const CachedPlanSource* source = source_of(group);
    filter->generation = plan->generation;
    ReleaseCachedPlan(plan, source->is_saved ? CurrentResourceOwner : NULL);
    filter->keys = find_rule_keys(
        static_cast<Query*>(copyObjectImpl(linitial_node(Query, source->query_list))));
    filter->context =
        AllocSetContextCreate(set->context, "filter of rules", ALLOCSET_DEFAULT_SIZES);
    if (filter->keys.count > 0) hash_rules(filter, group);
    for (int i = 0; i < filter->keys.count; i++) {
        filter->keys.keys[i].name = MemoryContextStrdup(filter->context, filter->keys.keys[i].name);
    }
}

int match_rules(RuleGroup* group, const CollectedRows& rows, Rule** matched) {
    const RuleFilter* filter = &group->filter;
    if (filter->keys.count == 0) {
        memcpy(matched, group->members, sizeof(Rule*) * static_cast<Size>(group->member_count));
        return group->member_count;
    }
    group->round++;
    Matches matches = {group, matched, 0};
    for (int i = 0; i < filter->always_count; i++) add(&matches, filter->always[i]);
    add_those_of_rows(&matches, rows);
    qsort(matched, static_cast<size_t>(matches.count), sizeof(Rule*), compare_places);
    return matches.count;
}

}  // namespace anomaly::pg
