// Reads and writes anomaly.cluster_identity.
#include "pg/server/identity.h"

#include "pg/server/catalog.h"

namespace anomaly::pg {

namespace {

constexpr int kArguments = 2;

// The identifier is 64 bits unsigned; the table keeps the same bits.
void fill(CatalogArgument* arguments) {
    arguments[0] = argument_int8(static_cast<int64>(GetSystemIdentifier()));
    arguments[1] = argument_oid(OIDOID, MyDatabaseId);
}

}  // namespace

Identity check_identity() {
    CatalogArgument arguments[kArguments];
    fill(arguments);
    const int64 foreign_and_ours = catalog_select_int(
        "SELECT 2 * count(*) FILTER (WHERE NOT ours) + count(*) FILTER (WHERE ours) FROM ("
        "SELECT system_identifier = $1 AND database = $2 AS ours FROM anomaly.cluster_identity) i",
        arguments, kArguments, 0);
    if (foreign_and_ours == 0) return Identity::kUnknown;
    return foreign_and_ours == 1 ? Identity::kOurs : Identity::kForeign;
}

void write_identity() {
    CatalogArgument arguments[kArguments];
    fill(arguments);
    catalog_execute(
        "DELETE FROM anomaly.cluster_identity WHERE (system_identifier, database) <> ($1, $2)",
        arguments, kArguments, SPI_OK_DELETE);
    catalog_execute("INSERT INTO anomaly.cluster_identity VALUES ($1, $2) ON CONFLICT DO NOTHING",
                    arguments, kArguments, SPI_OK_INSERT);
}

}  // namespace anomaly::pg
