// Keeps the parameters of rules that share a query.
#include "pg/rule/rule_parameters.h"

namespace anomaly::pg {

namespace {

// Each run of a query adds a read pointer to the tuplestore, and nothing takes it away.
constexpr int kMostRuns = 1000;

bool is_made_for(const SharedParameters* shared, Rule* const* rules, int count) {
    return shared->context != NULL && shared->count == count && shared->runs < kMostRuns &&
           memcmp(shared->rules, rules, sizeof(Rule*) * static_cast<Size>(count)) == 0;
}

EphemeralNamedRelation make_relation(Rule* const* rules, int count) {
    TupleDesc row = CreateTemplateTupleDesc(2);
    TupleDescInitEntry(row, 1, kNumberColumn, INT4OID, -1, 0);
    TupleDescInitEntry(row, 2, kParametersColumn, JSONBOID, -1, 0);
    // Never in a file, which would not outlive the transaction: it is little, and in memory anyway.
    Tuplestorestate* store = tuplestore_begin_heap(false, false, MAX_KILOBYTES);
    for (int i = 0; i < count; i++) {
        Datum values[] = {Int32GetDatum(i), rules[i]->call.parameters_value};
        bool nulls[] = {false, false};
        tuplestore_putvalues(store, row, values, nulls);
    }
    EphemeralNamedRelation relation =
        static_cast<EphemeralNamedRelation>(palloc0(sizeof(EphemeralNamedRelationData)));
    relation->md.name = pstrdup(kParametersName);
    relation->md.reliddesc = InvalidOid;
    relation->md.tupdesc = row;
    relation->md.enrtype = ENR_NAMED_TUPLESTORE;
    relation->md.enrtuples = count;
    relation->reldata = store;
    return relation;
}

void make(SharedParameters* shared, MemoryContext parent, Rule* const* rules, int count) {
    // All that is in it is memory.
    if (shared->context != NULL) MemoryContextDelete(shared->context);
    *shared = {};
    MemoryContext context =
        AllocSetContextCreate(parent, "parameters of rules", ALLOCSET_DEFAULT_SIZES);
    const MemoryContext caller = MemoryContextSwitchTo(context);
    const Size size = sizeof(Rule*) * static_cast<Size>(count);
    shared->rules = static_cast<Rule**>(palloc(size));
    memcpy(shared->rules, rules, size);
    shared->count = count;
    shared->relation = make_relation(rules, count);
    shared->context = context;
    MemoryContextSwitchTo(caller);
}

}  // namespace

void register_parameters(RuleSet* set, RuleGroup* group, Rule* const* rules, int count) {
    SharedParameters* shared = &group->parameters;
    if (!is_made_for(shared, rules, count)) make(shared, set->context, rules, count);
    shared->runs++;
    const int result = SPI_register_relation(shared->relation);
    if (result != SPI_OK_REL_REGISTER) {
        elog(ERROR, "cannot register %s: %s", kParametersName, SPI_result_code_string(result));
    }
}

}  // namespace anomaly::pg
