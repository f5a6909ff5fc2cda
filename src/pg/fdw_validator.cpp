// anomaly_kafka's validator: which options there are on which object, and what they may be.
#include "bridge/property.h"

#include "pg/call.h"
#include "pg/options.h"

namespace anomaly::pg {

namespace {

// Appends the name to the list if it looks like what was meant.
void add_if_near(StringInfo near, const char* meant, const char* name) {
    const int meant_size = static_cast<int>(strlen(meant));
    const int distance_max = 2 + meant_size / 4;
    const int distance = varstr_levenshtein_less_equal(
        meant, meant_size, name, static_cast<int>(strlen(name)), 1, 1, 1, distance_max, true);
    if (distance > distance_max && strstr(name, meant) == NULL) return;
    appendStringInfo(near, "%s\"%s\"", near->len == 0 ? "" : ", ", name);
}

bool belongs_to(bridge::OptionClass option_class, Oid catalog) {
    switch (option_class) {
        case bridge::OptionClass::kServer:
        case bridge::OptionClass::kServerPrivileged:
            return catalog == ForeignServerRelationId;
        case bridge::OptionClass::kUserMapping:
            return catalog == UserMappingRelationId;
        case bridge::OptionClass::kUnknown:
            return false;
    }
    return false;
}

void add_near_options(StringInfo near, const char* meant, Oid catalog) {
    if (catalog == ForeignTableRelationId) {
        for (int i = 0; kTableOptions[i] != NULL; i++) add_if_near(near, meant, kTableOptions[i]);
    } else if (catalog == AttributeRelationId) {
        for (int i = 0; kColumnOptions[i] != NULL; i++) add_if_near(near, meant, kColumnOptions[i]);
    } else {
        for (int32 i = 0; bridge::option_name(i) != NULL; i++) {
            const char* name = bridge::option_name(i);
            if (belongs_to(bridge::option_class(name), catalog)) add_if_near(near, meant, name);
        }
    }
}

[[noreturn]] void unknown_option(const char* name, Oid catalog) {
    constexpr Size kShownBytesMax = 64;  // the edit distance takes no longer ones
    StringInfoData near;
    initStringInfo(&near);
    if (strlen(name) <= kShownBytesMax) add_near_options(&near, name, catalog);
    ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
                    near.len > 0 ? errhint("Perhaps you meant %s.", near.data) : 0));
}

[[noreturn]] void misplaced_option(const char* name, const char* where) {
    ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
                    errmsg("option \"%s\" does not belong here", name),
                    errhint("Set it on the %s.", where)));
}

// Options that are properties of the client library.
void check_property_option(const char* name, const char* value, Oid catalog) {
    const bridge::OptionClass option_class = bridge::option_class(name);
    if (option_class == bridge::OptionClass::kUnknown) unknown_option(name, catalog);
    if (!belongs_to(option_class, catalog)) {
        misplaced_option(name, option_class == bridge::OptionClass::kUserMapping
                                   ? "user mapping, where other users cannot see it"
                                   : "server");
    }
    if (option_class == bridge::OptionClass::kServerPrivileged &&
        !has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES)) {
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                        errmsg("permission denied to set option \"%s\"", name),
                        errdetail("It names a file of the server: only members of the role "
                                  "pg_read_server_files may set it.")));
    }
    check(bridge::validate_property(bridge::option_property(name), value));
}

void check_option(DefElem* option, Oid catalog) {
    const char* name = option->defname;
    const char* value = defGetString(option);
    if (catalog == ForeignServerRelationId || catalog == UserMappingRelationId) {
        check_property_option(name, value, catalog);
    } else if (catalog == ForeignTableRelationId) {
        if (!check_table_option(name, value)) unknown_option(name, catalog);
    } else if (catalog != AttributeRelationId || !check_column_option(name, value)) {
        unknown_option(name, catalog);
    }
}

void require_option(const List* options, const char* name, const char* object) {
    if (find_option(options, name) != NULL) return;
    ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
                    errmsg("option \"%s\" is required for a %s of anomaly_kafka", name, object)));
}

}  // namespace

ANOMALY_FUNCTION(anomaly_kafka_fdw_validator) {
    List* options = untransformRelOptions(PG_GETARG_DATUM(0));
    const Oid catalog = PG_GETARG_OID(1);
    ListCell* cell;
    foreach (cell, options) check_option(lfirst_node(DefElem, cell), catalog);
    if (catalog == ForeignServerRelationId) require_option(options, "bootstrap_servers", "server");
    if (catalog == ForeignTableRelationId) require_option(options, "topic", "foreign table");
    if (find_option(options, "path") != NULL && find_option(options, "metadata") != NULL) {
        ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
                        errmsg("a column cannot have both options path and metadata")));
    }
    PG_RETURN_VOID();
}

}  // namespace anomaly::pg
