// Sends utility statements that concern us to whoever knows about them.
#include "pg/utility_hook.h"

#include "pg/ddl/aggregate_alter.h"
#include "pg/ddl/continuous_ddl.h"
#include "pg/ddl/definition_names.h"
#include "pg/ddl/grant_ddl.h"
#include "pg/ddl/stream_ddl.h"
#include "pg/process/worker_session.h"
#include "pg/rule/rule_dependency.h"
#include "pg/shared/database_hold.h"
#include "pg/shared/shmem.h"
#include "pg/shared/wake.h"

namespace anomaly::pg {

namespace {

ProcessUtility_hook_type previous_hook = NULL;

struct Call {
    PlannedStmt* statement;
    const char* query_string;
    bool read_only_tree;
    ProcessUtilityContext context;
    ParamListInfo parameters;
    QueryEnvironment* environment;
    DestReceiver* destination;
    QueryCompletion* completion;
};

void pass_on(const Call& call) {
    ProcessUtility_hook_type next = previous_hook != NULL ? previous_hook : standard_ProcessUtility;
    next(call.statement, call.query_string, call.read_only_tree, call.context, call.parameters,
         call.environment, call.destination, call.completion);
}

bool commits_prepared(Node* statement) {
    return reinterpret_cast<TransactionStmt*>(statement)->kind == TRANS_STMT_COMMIT_PREPARED;
}

// What is put off to the end of a worker's transaction would be done with the worker's rights.
void refuse_deferring() {
    if (!in_worker()) return;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("SET CONSTRAINTS cannot be used in what a stream's worker runs"),
                    errdetail("Constraints and triggers are not put off there.")));
}

// What psql shows. SPI insists on the tag that any CREATE TABLE AS with rows has.
void tell_table_is_made(const Call& call) {
    if (call.completion == NULL) return;
    const bool is_typed = call.context == PROCESS_UTILITY_TOPLEVEL;
    SetQueryCompletion(call.completion, is_typed ? CMDTAG_CREATE_TABLE_AS : CMDTAG_SELECT, 0);
}

void run(const Call& call) {
    Node* statement = call.statement->utilityStmt;
    if (handle_continuous_statement(call.statement, call.query_string)) {
        tell_table_is_made(call);
        return;
    }
    switch (nodeTag(statement)) {
        case T_DropdbStmt:
        case T_CreatedbStmt:
        case T_AlterDatabaseStmt:
            make_room_for_database_command(statement);
            break;
        case T_RenameStmt:
            if (reinterpret_cast<RenameStmt*>(statement)->renameType == OBJECT_DATABASE) {
                make_room_for_database_command(statement);
            }
            break;
        case T_TransactionStmt:
            if (commits_prepared(statement)) {
                pass_on(call);
                wake_after_prepared_commit();
                return;
            }
            break;
        case T_ConstraintsSetStmt:
            refuse_deferring();
            break;
        case T_DropStmt:
            check_rules_of_dropped(reinterpret_cast<DropStmt*>(statement));
            break;
        default:
            break;
    }
    RuleRename rename = {};
    StreamStatement stream = {};
    const bool renames = begin_rule_rename(statement, &rename);
    const bool alters_stream = begin_stream_statement(statement, &stream);
    const List* definitions = definitions_renamed_by(statement);
    const char* aggregates = aggregates_replaced_by(statement);
    pass_on(call);
    store_renamed_definitions(definitions);
    if (renames) end_rule_rename(rename);
    if (alters_stream) end_stream_statement(&stream);
    check_replaced_aggregates(statement, aggregates);
    wake_readers_after_grant(statement);
}

void process_utility(PlannedStmt* statement, const char* query_string, bool read_only_tree,
                     ProcessUtilityContext context, ParamListInfo parameters,
                     QueryEnvironment* environment, DestReceiver* destination,
                     QueryCompletion* completion) {
    run({statement, query_string, read_only_tree, context, parameters, environment, destination,
         completion});
}

}  // namespace

void install_utility_hook() {
    previous_hook = ProcessUtility_hook;
    ProcessUtility_hook = process_utility;
}

}  // namespace anomaly::pg
