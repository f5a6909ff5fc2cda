// The only place where PostgreSQL's headers enter, and the only place for differences between its
// versions (each with the version and the reason). Include bridge and std headers before this one:
// the server's macros clash with theirs.
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>

extern "C" {
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/itup.h"
#include "access/nbtree.h"
#include "access/reloptions.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "catalog/pg_user_mapping.h"
#include "commands/async.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/event_trigger.h"
#include "commands/explain.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "common/int.h"
#include "common/jsonapi.h"
#include "executor/executor.h"
#include "executor/nodeAgg.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/params.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/prep.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"
#include "parser/analyze.h"
#include "parser/parse_agg.h"
#include "parser/parse_func.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "pgstat.h"
#include "pgtime.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lwlock.h"
#include "storage/predicate.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "storage/sinvaladt.h"
#include "storage/spin.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/expandeddatum.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/plancache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/tuplesort.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"
#include "utils/uuid.h"
#include "utils/varlena.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#else
extern bool lc_collate_is_c(Oid collation);
extern bool lc_ctype_is_c(Oid collation);
#endif
}

#include "pg/export.h"

namespace anomaly::pg {

// 16 replaced the pg_xxx_ownercheck family by one function.
inline bool owns_object(Oid class_id, Oid object) {
#if PG_VERSION_NUM >= 160000
    return object_ownercheck(class_id, object, GetUserId());
#else
    return class_id == DatabaseRelationId ? pg_database_ownercheck(object, GetUserId())
                                          : pg_class_ownercheck(object, GetUserId());
#endif
}

// 17 hangs a wait event set on a resource owner (NULL: the session) instead of a memory context.
inline WaitEventSet* create_wait_event_set(int event_count) {
#if PG_VERSION_NUM >= 170000
    return CreateWaitEventSet(NULL, event_count);
#else
    return CreateWaitEventSet(TopMemoryContext, event_count);
#endif
}

// 17 replaced pgprocno by MyProcNumber.
inline int backend_slot() {
#if PG_VERSION_NUM >= 170000
    return MyProcNumber;
#else
    return MyProc->pgprocno;
#endif
}

// 17 numbers processes from 0 on in the place of backends from 1 on. NULL: a prepared transaction.
inline PGPROC* process_of(const VirtualTransactionId& transaction) {
#if PG_VERSION_NUM >= 170000
    return ProcNumberGetProc(transaction.procNumber);
#else
    return BackendIdGetProc(transaction.backendId);
#endif
}

// As whom an INSERT into this relation is to be done. 16 brought a function for it.
inline Oid inserting_user(ResultRelInfo* result, EState* state) {
#if PG_VERSION_NUM >= 160000
    return ExecGetResultRelCheckAsUser(result, state);
#else
    // A partition that rows are routed to has no entry of its own.
    ResultRelInfo* named = result->ri_RangeTableIndex == 0 && result->ri_RootResultRelInfo != NULL
                               ? result->ri_RootResultRelInfo
                               : result;
    const Oid user = exec_rt_fetch(named->ri_RangeTableIndex, state)->checkAsUser;
    return OidIsValid(user) ? user : GetUserId();
#endif
}

// For a row just inserted. 16 can leave out what only summarizes.
inline void insert_index_entries(ResultRelInfo* result, TupleTableSlot* slot, EState* state) {
#if PG_VERSION_NUM >= 160000
    ExecInsertIndexTuples(result, slot, state, false, false, NULL, NIL, false);
#else
    ExecInsertIndexTuples(result, slot, state, false, false, NULL, NIL);
#endif
}

// 17 brought transaction_timeout.
#if PG_VERSION_NUM >= 170000
constexpr bool kHasTransactionTimeout = true;
#else
constexpr bool kHasTransactionTimeout = false;
#endif

// Half-dropped databases (15.4 and later minor versions name it DATCONNLIMIT_INVALID_DB).
constexpr int kInvalidDatabaseConnectionLimit = -2;

}  // namespace anomaly::pg

// Before 16 these take callbacks without a prototype, which in C++ is one without parameters.
#if PG_VERSION_NUM < 160000
template <class To, class From>
To without_prototype(From callback) {
    return reinterpret_cast<To>(reinterpret_cast<void (*)()>(callback));
}
inline bool expression_tree_walker(Node* node, bool (*walker)(Node*, void*), void* context) {
    return expression_tree_walker(node, without_prototype<bool (*)()>(walker), context);
}
inline bool query_tree_walker(Query* query, bool (*walker)(Node*, void*), void* context,
                              int flags) {
    return query_tree_walker(query, without_prototype<bool (*)()>(walker), context, flags);
}
inline Node* expression_tree_mutator(Node* node, Node* (*mutator)(Node*, void*), void* context) {
    return expression_tree_mutator(node, without_prototype<Node* (*)()>(mutator), context);
}
#endif

namespace anomaly::pg {

// 16 replaced pg_proc_aclcheck by object_aclcheck.
inline AclResult function_aclcheck(Oid function, Oid role, AclMode mode) {
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(ProcedureRelationId, function, role, mode);
#else
    return pg_proc_aclcheck(function, role, mode);
#endif
}

// 16 moved what the executor is to check out of the range table entry.
inline const Bitmapset* selected_columns([[maybe_unused]] const Query* query,
                                         const RangeTblEntry* entry) {
#if PG_VERSION_NUM >= 160000
    return getRTEPermissionInfo(query->rteperminfos, const_cast<RangeTblEntry*>(entry))
        ->selectedCols;
#else
    return entry->selectedCols;
#endif
}

// 16 gave it an error context.
inline List* parse_qualified_name(const char* name) {
#if PG_VERSION_NUM >= 160000
    return stringToQualifiedNameList(name, NULL);
#else
    return stringToQualifiedNameList(name);
#endif
}

// Does the collation compare byte by byte; are only ASCII letters letters to it? Until 17 there are
// functions for that, declared in a header that wants ICU's. 18 keeps both with the locale, in that
// header; the catalogs say the same.
#if PG_VERSION_NUM >= 180000
inline bool is_c_locale(Oid collation, bool of_letters) {
    const bool is_default = collation == DEFAULT_COLLATION_OID;
    const int cache = is_default ? DATABASEOID : COLLOID;
    HeapTuple tuple =
        SearchSysCache1(cache, ObjectIdGetDatum(is_default ? MyDatabaseId : collation));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for collation %u", collation);
    const void* row = GETSTRUCT(tuple);
    const char provider = is_default ? static_cast<const FormData_pg_database*>(row)->datlocprovider
                                     : static_cast<const FormData_pg_collation*>(row)->collprovider;
    AttrNumber name = of_letters ? Anum_pg_collation_collctype : Anum_pg_collation_collcollate;
    if (is_default) name = of_letters ? Anum_pg_database_datctype : Anum_pg_database_datcollate;
    if (provider == COLLPROVIDER_BUILTIN) {
        name = is_default ? Anum_pg_database_datlocale : Anum_pg_collation_colllocale;
    }
    bool is_c = provider == COLLPROVIDER_BUILTIN && !of_letters;
    if (!is_c && provider != COLLPROVIDER_ICU) {
        const char* locale = TextDatumGetCString(SysCacheGetAttrNotNull(cache, tuple, name));
        is_c = strcmp(locale, "C") == 0 || strcmp(locale, "POSIX") == 0;
    }
    ReleaseSysCache(tuple);
    return is_c;
}
#endif
inline bool collates_as_c(Oid collation) {
#if PG_VERSION_NUM >= 180000
    return is_c_locale(collation, false);
#else
    return lc_collate_is_c(collation);
#endif
}
inline bool has_c_letters(Oid collation) {
#if PG_VERSION_NUM >= 180000
    return is_c_locale(collation, true);
#else
    return lc_ctype_is_c(collation);
#endif
}

// Since 18 grouped expressions are columns of a range table entry of their own.
inline void flatten_group_entries([[maybe_unused]] Query* query) {
#if PG_VERSION_NUM >= 180000
    if (!query->hasGroupRTE) return;
    query->targetList = castNode(
        List, flatten_group_exprs(NULL, query, reinterpret_cast<Node*>(query->targetList)));
    query->havingQual = flatten_group_exprs(NULL, query, query->havingQual);
#endif
}

// Replaces the columns of a range table entry by expressions, all through the query. 18 asks for
// the relation that RETURNING is about.
inline void replace_columns(Query* query, int rtindex, RangeTblEntry* entry, List* targets) {
    Node* node = reinterpret_cast<Node*>(query);
#if PG_VERSION_NUM >= 180000
    node = ReplaceVarsFromTargetList(node, rtindex, 0, entry, targets, 0, REPLACEVARS_REPORT_ERROR,
                                     0, &query->hasSubLinks);
#else
    node = ReplaceVarsFromTargetList(node, rtindex, 0, entry, targets, REPLACEVARS_REPORT_ERROR, 0,
                                     &query->hasSubLinks);
#endif
    *query = *castNode(Query, node);
}

// In 18 NOT NULL is a constraint with a row of its own.
inline Constraint* make_not_null([[maybe_unused]] const char* column) {
#if PG_VERSION_NUM >= 180000
    return makeNotNullConstraint(makeString(pstrdup(column)));
#else
    Constraint* constraint = makeNode(Constraint);
    constraint->contype = CONSTR_NOTNULL;
    constraint->location = -1;
    return constraint;
#endif
}

// 17 brought ALTER COLUMN SET EXPRESSION.
inline bool is_set_expression([[maybe_unused]] AlterTableType type) {
#if PG_VERSION_NUM >= 170000
    return type == AT_SetExpression;
#else
    return false;
#endif
}

// 18 refuses to read a virtual column from a row: the planner is to have replaced it. In rows that
// come with all their columns computed it is as good as stored.
inline void store_virtual_columns([[maybe_unused]] TupleDesc computed) {
#if PG_VERSION_NUM >= 180000
    for (int c = 0; c < computed->natts; c++) {
        Form_pg_attribute attribute = TupleDescAttr(computed, c);
        if (attribute->attgenerated != ATTRIBUTE_GENERATED_VIRTUAL) continue;
        attribute->attgenerated = ATTRIBUTE_GENERATED_STORED;
    }
#endif
}

// 17 added the restrictions, 18 the number of disabled nodes.
inline ForeignPath* create_stream_path(PlannerInfo* root, RelOptInfo* relation, double rows,
                                       Cost startup, Cost total, Relids required_outer) {
#if PG_VERSION_NUM >= 180000
    return create_foreignscan_path(root, relation, NULL, rows, 0, startup, total, NIL,
                                   required_outer, NULL, NIL, NIL);
#elif PG_VERSION_NUM >= 170000
    return create_foreignscan_path(root, relation, NULL, rows, startup, total, NIL, required_outer,
                                   NULL, NIL, NIL);
#else
    return create_foreignscan_path(root, relation, NULL, rows, startup, total, NIL, required_outer,
                                   NULL, NIL);
#endif
}

}  // namespace anomaly::pg
