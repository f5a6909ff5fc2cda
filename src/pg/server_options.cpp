#include "bridge/property.h"

#include "pg/server_options.h"

namespace anomaly::pg {

namespace {

// Like GetUserMapping, but a missing mapping is NIL.
List* mapping_options(Oid server, Oid user) {
    const bool own = SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user),
                                           ObjectIdGetDatum(server));
    const bool everyone = SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
                                                ObjectIdGetDatum(server));
    return own || everyone ? GetUserMapping(user, server)->options : NIL;
}

}  // namespace

const bridge::Property* load_properties(Oid server, Oid owner, int* count) {
    List* options =
        list_concat_copy(GetForeignServer(server)->options, mapping_options(server, owner));
    bridge::Property* properties = static_cast<bridge::Property*>(
        palloc0(sizeof(bridge::Property) * static_cast<Size>(list_length(options) + 1)));
    *count = 0;
    ListCell* cell;
    foreach (cell, options) {
        DefElem* option = lfirst_node(DefElem, cell);
        const char* property = bridge::option_property(option->defname);
        if (property == NULL) {
            ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
                            errmsg("invalid option \"%s\" of server \"%s\"", option->defname,
                                   GetForeignServer(server)->servername)));
        }
        properties[(*count)++] = {property, defGetString(option)};
    }
    return properties;
}

}  // namespace anomaly::pg
