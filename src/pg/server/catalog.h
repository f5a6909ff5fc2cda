// The extension's own tables, read and written through SPI as the bootstrap superuser: users have
// no rights on them, and what they may cause there is decided by the callers.
#pragma once

#include "pg/pg.h"

namespace anomaly::pg {

// A parameter of a catalog statement.
struct CatalogArgument {
    Oid type;
    Datum value;
    bool is_null;
};

// The rights of the bootstrap superuser and a pinned search_path, until it ends. What is run
// between must not be a user's.
struct CatalogSession {
    Oid user;
    int context;
    int nest_level;
};
CatalogSession begin_catalog_session();
void end_catalog_session(const CatalogSession& session);

// Runs one statement as the bootstrap superuser with a pinned search_path; returns the number of
// rows. Raises an error if the result is not `expected` (an SPI_OK_* code).
uint64 catalog_execute(const char* statement, const CatalogArgument* arguments, int count,
                       int expected);

// The same for a SELECT of one bigint; `absent` if there is no row or it is NULL.
int64 catalog_select_int(const char* statement, const CatalogArgument* arguments, int count,
                         int64 absent);

// The same for one text, in the current memory context; NULL if there is no row or it is NULL.
char* catalog_select_text(const char* statement, const CatalogArgument* arguments, int count);

inline CatalogArgument argument_oid(Oid type, Oid value) {
    return {type, ObjectIdGetDatum(value), false};
}
inline CatalogArgument argument_text(const char* value) {
    return {TEXTOID, value == NULL ? Datum{0} : CStringGetTextDatum(value), value == NULL};
}
inline CatalogArgument argument_bool(bool value) {
    return {BOOLOID, BoolGetDatum(value), false};
}
inline CatalogArgument argument_int4(int32 value) {
    return {INT4OID, Int32GetDatum(value), false};
}
inline CatalogArgument argument_int8(int64 value) {
    return {INT8OID, Int64GetDatum(value), false};
}

// The namespace anomaly and a relation in it; InvalidOid if the extension is not there.
Oid catalog_relation(const char* name);

// The catalog is there, and not itself on its way out with the extension.
bool catalog_is_there();

// Raises an error unless it is fit for a new rule or consumer: a line in logs, a key of indexes.
void check_new_name(const char* what, const char* name);

// Owner of a relation; InvalidOid if it is gone.
Oid relation_owner(Oid relation);

}  // namespace anomaly::pg
