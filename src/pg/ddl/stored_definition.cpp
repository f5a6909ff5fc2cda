#include "pg/ddl/stored_definition.h"

#include "pg/query/definition.h"
#include "pg/server/catalog.h"
#include "pg/server/pinned_settings.h"
#include "pg/server/subtransaction.h"

namespace anomaly::pg {

namespace {

const char* select_text(Oid table, const char* statement) {
    const CatalogArgument argument = argument_oid(REGCLASSOID, table);
    return catalog_select_text(statement, &argument, 1);
}

// Who runs the statement need not have rights on all that the definition names.
void parse_step(void* opaque) {
    StoredDefinition* definition = static_cast<StoredDefinition*>(opaque);
    const CatalogSession session = begin_catalog_session();
    const int nest_level = apply_settings(definition->settings);
    definition->query = parse_query(definition->text);
    AtEOXact_GUC(true, nest_level);
    end_catalog_session(session);
}

}  // namespace

StoredDefinition* read_stored_definition(Oid table) {
    StoredDefinition* definition =
        static_cast<StoredDefinition*>(palloc0(sizeof(StoredDefinition)));
    definition->table = table;
    definition->settings =
        select_text(table, "SELECT settings::text FROM anomaly.continuous_table WHERE relid = $1");
    definition->text =
        select_text(table, "SELECT definition FROM anomaly.continuous_table WHERE relid = $1");
    ErrorData* error = run_in_subtransaction(parse_step, definition);
    if (error == NULL) return definition;
    FreeErrorData(error);
    return NULL;
}

}  // namespace anomaly::pg
