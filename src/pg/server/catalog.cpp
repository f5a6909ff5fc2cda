// SPI access to the extension's own tables.
#include "pg/server/catalog.h"

namespace anomaly::pg {

namespace {

constexpr int kMaxArguments = 24;

int run(const char* statement, const CatalogArgument* arguments, int count, bool read_only) {
    Oid types[kMaxArguments];
    Datum values[kMaxArguments];
    char nulls[kMaxArguments];
    Assert(count <= kMaxArguments);
    for (int i = 0; i < count; i++) {
        types[i] = arguments[i].type;
        values[i] = arguments[i].value;
        nulls[i] = arguments[i].is_null ? 'n' : ' ';
    }
    return SPI_execute_with_args(statement, count, types, values, nulls, read_only, 0);
}

void check_result(int result, int expected, const char* statement) {
    if (result != expected) {
        elog(ERROR, "unexpected result %s of \"%s\"", SPI_result_code_string(result), statement);
    }
}

}  // namespace

// The statements name everything with its schema; the pinned path also fixes operators.
CatalogSession begin_catalog_session() {
    CatalogSession session;
    GetUserIdAndSecContext(&session.user, &session.context);
    SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, session.context | SECURITY_LOCAL_USERID_CHANGE);
    session.nest_level = NewGUCNestLevel();
    set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
                      GUC_ACTION_SAVE, true, 0, false);
    return session;
}

void end_catalog_session(const CatalogSession& session) {
    AtEOXact_GUC(true, session.nest_level);
    SetUserIdAndSecContext(session.user, session.context);
}

uint64 catalog_execute(const char* statement, const CatalogArgument* arguments, int count,
                       int expected) {
    const CatalogSession session = begin_catalog_session();
    SPI_connect();
    check_result(run(statement, arguments, count, false), expected, statement);
    const uint64 processed = SPI_processed;
    SPI_finish();
    end_catalog_session(session);
    return processed;
}

int64 catalog_select_int(const char* statement, const CatalogArgument* arguments, int count,
                         int64 absent) {
    const CatalogSession session = begin_catalog_session();
    SPI_connect();
    check_result(run(statement, arguments, count, false), SPI_OK_SELECT, statement);
    int64 result = absent;
    if (SPI_processed > 0) {
        bool is_null = false;
        const Datum value =
            SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
        if (!is_null) result = DatumGetInt64(value);
    }
    SPI_finish();
    end_catalog_session(session);
    return result;
}

char* catalog_select_text(const char* statement, const CatalogArgument* arguments, int count) {
    const MemoryContext target = CurrentMemoryContext;
    const CatalogSession session = begin_catalog_session();
    SPI_connect();
    check_result(run(statement, arguments, count, false), SPI_OK_SELECT, statement);
    char* result = NULL;
    if (SPI_processed > 0) {
        const char* value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
        if (value != NULL) result = MemoryContextStrdup(target, value);
    }
    SPI_finish();
    end_catalog_session(session);
    return result;
}

Oid catalog_relation(const char* name) {
    const Oid schema = get_namespace_oid("anomaly", true);
    return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

bool catalog_is_there() {
    return OidIsValid(get_extension_oid("anomaly", true)) &&
           OidIsValid(catalog_relation("continuous_table")) && OidIsValid(catalog_relation("rule"));
}

void check_new_name(const char* what, const char* name) {
    constexpr int kCharactersMax = 200;
    const int length = pg_mbstrlen(name);
    if (length >= 1 && length <= kCharactersMax) return;
    ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
                    errmsg("the name of a %s must have 1 to %d characters, not %d", what,
                           kCharactersMax, length)));
}

Oid relation_owner(Oid relation) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple)) return InvalidOid;
    const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    return owner;
}

}  // namespace anomaly::pg
