// anomaly.test_rule, the back-test, and anomaly.explain_rule, which shows the query that a worker
// runs. Both leave no trace: they run in a read-only subtransaction, under the rule's search_path.
#include "pg/query/definition.h"
#include "pg/rule/rule_check.h"
#include "pg/rule/rule_filter.h"
#include "pg/rule/rule_parameters.h"
#include "pg/rule/rule_query.h"
#include "pg/server/catalog.h"
#include "pg/server/pinned_settings.h"
#include "pg/server/subtransaction.h"
#include "pg/table/table_writer.h"

namespace anomaly::pg {

namespace {

struct StoredRule {
    Oid table;
    const char* settings;  // of the table's definition
    TableDefinition* definition;
    RuleCall call;
    bool on_close;
    char* search_path;
};

char* rule_text(const char* name, const char* column) {
    const CatalogArgument argument = argument_text(name);
    return catalog_select_text(
        psprintf("SELECT %s::text FROM anomaly.rule WHERE name = $1", column), &argument, 1);
}

// Locks the table until the end of the transaction.
StoredRule find_rule(const char* name) {
    StoredRule rule = {};
    const CatalogArgument argument = argument_text(name);
    rule.table = static_cast<Oid>(catalog_select_int(
        "SELECT relid::oid::bigint FROM anomaly.rule WHERE name = $1", &argument, 1, InvalidOid));
    if (!OidIsValid(rule.table)) raise_no_rule(name);
    LockRelationOid(rule.table, AccessShareLock);
    return rule;
}

void load(const char* name, StoredRule* rule) {
    const CatalogArgument table = argument_oid(REGCLASSOID, rule->table);
    const char* definition = catalog_select_text(
        "SELECT definition FROM anomaly.continuous_table WHERE relid = $1", &table, 1);
    rule->settings = catalog_select_text(
        "SELECT settings::text FROM anomaly.continuous_table WHERE relid = $1", &table, 1);
    rule->call.function = rule_text(name, "function");
    rule->call.parameters = rule_text(name, "parameters");
    rule->call.result = rule_text(name, "result");
    rule->search_path = rule_text(name, "search_path");
    if (definition == NULL || rule->search_path == NULL) raise_no_rule(name);  // dropped meanwhile
    rule->on_close = strcmp(rule_text(name, "evaluate"), "close") == 0;
    const int nest_level = apply_settings(rule->settings);
    rule->definition = parse_definition(definition);
    AtEOXact_GUC(true, nest_level);
}

void check_select(Oid table) {
    const AclResult result = pg_class_aclcheck(table, GetUserId(), ACL_SELECT);
    if (result != ACLCHECK_OK) aclcheck_error(result, OBJECT_TABLE, get_rel_name(table));
}

struct Work {
    const StoredRule* rule;
    ReturnSetInfo* result;
    Datum span[2];
    RuleSet* set;      // explain_rule
    RuleGroup* group;  // that it shares its query with, NULL: none
    void (*run)(const Work*);
};

void work_step(void* opaque) {
    const Work* work = static_cast<const Work*>(opaque);
    XactReadOnly = true;
    const int nest_level = NewGUCNestLevel();
    set_config_option("search_path", work->rule->search_path, PGC_USERSET, PGC_S_SESSION,
                      GUC_ACTION_SAVE, true, 0, false);
    SPI_connect();
    work->run(work);
    SPI_finish();
    AtEOXact_GUC(true, nest_level);
}

void run_read_only(Work* work) {
    ErrorData* error = run_in_subtransaction(work_step, work);
    if (error != NULL) ReThrowError(error);
}

void run_test(const Work* work) {
    ParamListInfo parameters = makeParamList(2);
    for (int i = 0; i < 2; i++) {
        parameters->params[i] = {work->span[i], false, PARAM_FLAG_CONST, TIMESTAMPTZOID};
    }
    DestReceiver* receiver = CreateDestReceiver(DestTuplestore);
    SetTuplestoreDestReceiverParams(receiver, work->result->setResult,
                                    work->result->econtext->ecxt_per_query_memory, false, NULL,
                                    NULL);
    SPIExecuteOptions options = {};
    options.params = parameters;
    options.read_only = true;
    options.dest = receiver;
    const char* query =
        make_rule_test_query(work->rule->table, work->rule->definition, work->rule->call);
    const int result = SPI_execute_extended(query, &options);
    if (result != SPI_OK_SELECT) {
        elog(ERROR, "unexpected result %s of a rule", SPI_result_code_string(result));
    }
}

void put_line(const Work* work, const char* line) {
    Datum values[] = {CStringGetTextDatum(line)};
    bool nulls[] = {false};
    tuplestore_putvalues(work->result->setResult, work->result->setDesc, values, nulls);
}

// Which rules of the group the query is given.
void put_sharing(const Work* work, TupleDesc columns) {
    put_line(work, psprintf("Shared by %d rules", work->group->member_count));
    const RuleKeys* keys = &work->group->filter.keys;
    StringInfoData line;
    initStringInfo(&line);
    for (int i = 0; i < keys->count; i++) {
        const RuleKey* key = &keys->keys[i];
        const char* parameter = psprintf("parameters ->> %s", quote_literal_cstr(key->name));
        if (key->type != TEXTOID) {
            parameter = psprintf("(%s)::%s", parameter, format_type_be(key->type));
        }
        appendStringInfo(
            &line, "%s%s = %s", i == 0 ? "" : " AND ",
            quote_identifier(NameStr(TupleDescAttr(columns, key->column - 1)->attname)), parameter);
    }
    put_line(work, keys->count == 0 ? "Evaluated: all of them"
                                    : psprintf("Evaluated: those with a row where %s", line.data));
}

// As a worker does it.
const char* prepare_shared(const Work* work) {
    RuleGroup* group = work->group;
    const StoredRule* rule = work->rule;
    register_parameters(work->set, group, group->members, group->member_count);
    const char* query =
        make_rule_query(rule->table, rule->definition, rule->call, rule->on_close, true);
    group->plan.prepared = SPI_prepare(query, 0, NULL);
    if (group->plan.prepared == NULL) {
        elog(ERROR, "cannot prepare \"%s\": %s", query, SPI_result_code_string(SPI_result));
    }
    make_filter(work->set, group);
    return query;
}

// The planner is given the changes of a commit, of which there are none now.
void run_explain(const Work* work) {
    const StoredRule* rule = work->rule;
    TableWriter* writer =
        create_writer(rule->table, relation_owner(rule->table), rule->definition, rule->settings);
    collect_changes(writer, {NULL, 0});
    const char* query = NULL;
    if (work->group == NULL) {
        query = make_rule_query(rule->table, rule->definition, rule->call, rule->on_close, false);
    } else {
        query = prepare_shared(work);
        put_sharing(work, collected_rows(writer).columns);
    }
    const int result = SPI_execute(psprintf("EXPLAIN %s", query), false, 0);
    if (result != SPI_OK_UTILITY) {
        elog(ERROR, "unexpected result %s of EXPLAIN", SPI_result_code_string(result));
    }
    for (uint64 i = 0; i < SPI_processed; i++) {
        tuplestore_puttuple(work->result->setResult, SPI_tuptable->vals[i]);
    }
    if (work->group != NULL) SPI_unregister_relation(kParametersName);
    end_changes(writer);
}

// The rule as its worker would load it now; a disabled one is not there.
void find_group(const char* name, Work* work) {
    const CatalogSession session = begin_catalog_session();
    work->set = load_rules(work->rule->table, work->rule->definition);
    end_catalog_session(session);
    for (int i = 0; i < work->set->count; i++) {
        if (strcmp(work->set->rules[i].name, name) == 0) work->group = work->set->rules[i].group;
    }
}

Datum span_argument(FunctionCallInfo fcinfo, int number, TimestampTz otherwise) {
    return PG_ARGISNULL(number) ? TimestampTzGetDatum(otherwise) : PG_GETARG_DATUM(number);
}

}  // namespace

ANOMALY_FUNCTION(anomaly_test_rule) {
    if (PG_ARGISNULL(0)) {
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("name must not be NULL")));
    }
    const char* name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    StoredRule rule = find_rule(name);
    check_select(rule.table);
    load(name, &rule);
    InitMaterializedSRF(fcinfo, 0);
    Work work = {&rule,
                 reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo),
                 {span_argument(fcinfo, 1, DT_NOBEGIN), span_argument(fcinfo, 2, DT_NOEND)},
                 NULL,
                 NULL,
                 run_test};
    run_read_only(&work);
    return Datum{0};
}

ANOMALY_FUNCTION(anomaly_explain_rule) {
    const char* name = text_to_cstring(PG_GETARG_TEXT_PP(0));
    StoredRule rule = find_rule(name);
    check_rule_table(rule.table);
    load(name, &rule);
    InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
    Work work = {&rule,
                 reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo),
                 {Datum{0}, Datum{0}},
                 NULL,
                 NULL,
                 run_explain};
    find_group(name, &work);
    Oid user;
    int context;
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(relation_owner(rule.table),
                           context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
    run_read_only(&work);
    SetUserIdAndSecContext(user, context);
    return Datum{0};
}

}  // namespace anomaly::pg
