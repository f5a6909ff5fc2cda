// anomaly_kafka's validator: which options there are on which object, and what they may be.
#include "bridge/property.h"

#include "pg/server/call.h"
#include "pg/server/near_words.h"
#include "pg/stream/format_options.h"
#include "pg/stream/options.h"

namespace anomaly::pg {

namespace {

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

// The names of all options that may be set there, NULL at the end.
const char* const* option_names(Oid catalog) {
    if (catalog == ForeignTableRelationId) return kTableOptions;
    if (catalog == AttributeRelationId) return kColumnOptions;
    int32 count = 0;
    while (bridge::option_name(count) != NULL) count++;
    for (int i = 0; kServerOptions[i] != NULL; i++) count++;
    const char** names =
        static_cast<const char**>(palloc0(sizeof(char*) * (static_cast<Size>(count) + 1)));
    int used = 0;
    for (int i = 0; catalog == ForeignServerRelationId && kServerOptions[i] != NULL; i++) {
        names[used++] = kServerOptions[i];
    }
    for (int32 i = 0; bridge::option_name(i) != NULL; i++) {
        const char* name = bridge::option_name(i);
        if (belongs_to(bridge::option_class(name), catalog)) names[used++] = name;
    }
    return names;
}

// All names, where they are few enough to be read.
[[noreturn]] void unknown_option(const char* name, Oid catalog) {
    const char* const* names = option_names(catalog);
    const char* near = near_words(name, names);
    const char* hint = NULL;
    if (catalog != ForeignServerRelationId) {
        hint = choice_hint(name, names);
    } else if (near[0] != '\0') {
        hint = psprintf("Perhaps you meant %s.", near);
    } else {
        hint =
            "It takes properties of librdkafka for security, time limits, fetch sizes and the "
            "client's name, with _ for the dots.";
    }
    ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
                    errhint("%s", hint)));
}

[[noreturn]] void misplaced_option(const char* name, const char* where) {
    ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
                    errmsg("option \"%s\" does not belong here", name),
                    errhint("Set it on the %s.", where)));
}

// What was given for a secret is not shown.
void check_property_value(const char* name, const char* value, Oid catalog) {
    const bool is_secret = catalog == UserMappingRelationId;
    const char* hint = NULL;
    const char* detail = NULL;
    const char* const* choices = bridge::option_choices(name);
    if (choices != NULL) {
        for (int i = 0; choices[i] != NULL; i++) {
            if (pg_strcasecmp(choices[i], value) == 0) return;
        }
        hint = choice_hint(value, choices);
    } else {
        const bridge::Status status =
            bridge::validate_property(bridge::option_property(name), value);
        if (status.ok()) return;
        if (status.code != bridge::Code::kInvalidOption) check(status);
        if (!is_secret) detail = psprintf("%s.", status.text);
    }
    ereport(ERROR,
            (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
             is_secret ? errmsg("invalid value for option \"%s\"", name)
                       : errmsg("invalid value for option \"%s\": \"%s\"", name, value),
             detail == NULL ? 0 : errdetail("%s", detail), hint == NULL ? 0 : errhint("%s", hint)));
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
    check_property_value(name, value, catalog);
}

void check_option(DefElem* option, Oid catalog) {
    const char* name = option->defname;
    const char* value = defGetString(option);
    if (is_server_option(name) && catalog == UserMappingRelationId) {
        misplaced_option(name, "server");
    } else if (catalog == ForeignServerRelationId && check_server_option(name, value)) {
        return;
    } else if (catalog == ForeignServerRelationId || catalog == UserMappingRelationId) {
        check_property_option(name, value, catalog);
    } else if (catalog == ForeignTableRelationId) {
        if (!check_table_option(name, value)) unknown_option(name, catalog);
    } else if (catalog != AttributeRelationId || !check_column_option(name, value)) {
        unknown_option(name, catalog);
    }
}

// Without one the library would take another mechanism than the user thinks.
void require_mechanism(const List* options) {
    const char* protocol = find_option(options, "security_protocol");
    if (protocol == NULL || pg_strncasecmp(protocol, "sasl_", 5) != 0) return;
    if (find_option(options, "sasl_mechanism") != NULL) return;
    if (find_option(options, "sasl_mechanisms") != NULL) return;
    ereport(ERROR,
            (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
             errmsg("option \"sasl_mechanism\" is required for security_protocol \"%s\"", protocol),
             errhint("%s", choice_hint("", bridge::option_choices("sasl_mechanism")))));
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
    if (catalog == ForeignServerRelationId) {
        require_option(options, "bootstrap_servers", "server");
        require_mechanism(options);
    }
    if (catalog == ForeignTableRelationId) require_option(options, "topic", "foreign table");
    if (catalog == ForeignTableRelationId) check_format_options(options);
    constexpr const char* kOfFields[] = {"path", "unit"};
    for (const char* name : kOfFields) {
        if (find_option(options, name) == NULL || find_option(options, "metadata") == NULL) {
            continue;
        }
        ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
                        errmsg("a column cannot have both options %s and metadata", name)));
    }
    PG_RETURN_VOID();
}

}  // namespace anomaly::pg
