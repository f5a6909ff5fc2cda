#include "pg/stream/server_options.h"

#include "pg/stream/options.h"

namespace anomaly::pg {

namespace {

// Like GetUserMapping, but a missing mapping is NULL.
UserMapping* mapping_of(Oid server, Oid user) {
    const bool own = SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user),
                                           ObjectIdGetDatum(server));
    const bool everyone = SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
                                                ObjectIdGetDatum(server));
    return own || everyone ? GetUserMapping(user, server) : NULL;
}

}  // namespace

Oid find_mapping(Oid server, Oid user) {
    const UserMapping* mapping = mapping_of(server, user);
    return mapping == NULL ? InvalidOid : mapping->umid;
}

const bridge::Property* load_properties(Oid server, Oid user, bridge::ClientKind client,
                                        int* count) {
    const UserMapping* mapping = mapping_of(server, user);
    List* options = list_concat_copy(GetForeignServer(server)->options,
                                     mapping == NULL ? NIL : mapping->options);
    bridge::Property* properties = static_cast<bridge::Property*>(
        palloc0(sizeof(bridge::Property) * static_cast<Size>(list_length(options) + 1)));
    *count = 0;
    ListCell* cell;
    foreach (cell, options) {
        DefElem* option = lfirst_node(DefElem, cell);
        if (is_server_option(option->defname)) continue;  // ours, and no property
        const char* property = bridge::option_property(option->defname);
        if (property == NULL) {
            ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
                            errmsg("invalid option \"%s\" of server \"%s\"", option->defname,
                                   GetForeignServer(server)->servername)));
        }
        if (!bridge::option_is_for(option->defname, client)) continue;
        properties[(*count)++] = {property, defGetString(option)};
    }
    return properties;
}

}  // namespace anomaly::pg
