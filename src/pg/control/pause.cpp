// anomaly.pause and anomaly.resume: durable in anomaly.stream, acted on by the manager at commit.
#include "pg/ddl/continuous_dependencies.h"
#include "pg/server/catalog.h"
#include "pg/server/identity.h"
#include "pg/shared/shmem.h"
#include "pg/shared/wake.h"
#include "pg/stream/stream.h"

namespace anomaly::pg {

namespace {

void require_own_stream(Oid relation) {
    require_stream(relation);
    if (!owns_object(RelationRelationId, relation)) {
        aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_TABLE, get_rel_name(relation));
    }
}

void set_paused(Oid stream, bool paused) {
    require_shmem();
    require_own_stream(stream);
    const CatalogArgument arguments[] = {argument_oid(REGCLASSOID, stream), argument_bool(paused)};
    catalog_execute(
        "INSERT INTO anomaly.stream (stream, paused) VALUES ($1, $2) "
        "ON CONFLICT (stream) DO UPDATE SET paused = excluded.paused",
        arguments, lengthof(arguments), SPI_OK_INSERT);
    wake_manager_at_commit();
}

}  // namespace

}  // namespace anomaly::pg

ANOMALY_FUNCTION(anomaly_pause) {
    anomaly::pg::set_paused(PG_GETARG_OID(0), true);
    PG_RETURN_VOID();
}

ANOMALY_FUNCTION(anomaly_resume) {
    anomaly::pg::set_paused(PG_GETARG_OID(0), false);
    PG_RETURN_VOID();
}

ANOMALY_FUNCTION(anomaly_resume_copy) {
    anomaly::pg::require_shmem();
    anomaly::pg::write_identity();
    anomaly::pg::rebuild_dependencies();
    anomaly::pg::wake_manager_at_commit();
    PG_RETURN_VOID();
}
