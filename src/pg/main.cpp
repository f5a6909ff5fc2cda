// Entry of the library. Everything that needs shared memory, hooks or workers is set up only under
// shared_preload_libraries; loaded later, the library merely lets its functions say so.
#include "pg/ddl/continuous_ddl.h"
#include "pg/process/launcher.h"
#include "pg/rule/finding_trigger.h"
#include "pg/rule/rule_dependency.h"
#include "pg/server/guc.h"
#include "pg/shared/extension_lock.h"
#include "pg/shared/shmem.h"
#include "pg/shared/wake.h"
#include "pg/utility_hook.h"

extern "C" {
// Declared first with the visibility that PG_MODULE_MAGIC does not give before PostgreSQL 16.
__attribute__((visibility("default"))) const Pg_magic_struct* PG_MAGIC_FUNCTION_NAME(void);
PG_MODULE_MAGIC;
}

ANOMALY_EXPORT void _PG_init(void) {
    if (IsBinaryUpgrade || !process_shared_preload_libraries_in_progress) return;
    anomaly::pg::define_settings();
    anomaly::pg::install_shmem_hooks();
    anomaly::pg::install_utility_hook();
    anomaly::pg::install_extension_drop_hook();
    anomaly::pg::install_continuous_drop_hook();
    anomaly::pg::install_rule_drop_hook();
    anomaly::pg::install_finding_trigger_hook();
    anomaly::pg::register_launcher();
}

ANOMALY_FUNCTION(anomaly_extension_created) {
    anomaly::pg::require_shmem();
    anomaly::pg::tell_launcher_at_commit();
    PG_RETURN_VOID();
}
