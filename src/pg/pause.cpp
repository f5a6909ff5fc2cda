// anomaly.pause and anomaly.resume: durable in anomaly.stream, acted on by the manager at commit.
#include "pg/catalog.h"
#include "pg/identity.h"
#include "pg/shmem.h"
#include "pg/wake.h"

namespace anomaly::pg {

namespace {

constexpr char kWrapperName[] = "anomaly_kafka";

bool is_stream(Oid relation) {
    if (get_rel_relkind(relation) != RELKIND_FOREIGN_TABLE) return false;
    const ForeignServer* server = GetForeignServer(GetForeignTable(relation)->serverid);
    return strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, kWrapperName) == 0;
}

void require_own_stream(Oid relation) {
    const char* name = get_rel_name(relation);
    if (name == NULL || !is_stream(relation)) {
        ereport(ERROR,
                (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                 errmsg("%s is not a stream", name == NULL ? "this" : quote_identifier(name)),
                 errdetail("A stream is a foreign table of the foreign data wrapper %s.",
                           kWrapperName)));
    }
    if (!owns_object(RelationRelationId, relation)) {
        aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_TABLE, name);
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
    anomaly::pg::wake_manager_at_commit();
    PG_RETURN_VOID();
}
