// The extension as an object: locked by workers, watched for its drop.
#include "pg/shared/extension_lock.h"

#include "pg/shared/wake.h"

namespace anomaly::pg {

namespace {

constexpr char kExtensionName[] = "anomaly";
object_access_hook_type previous_access_hook = NULL;

void see_object_access(ObjectAccessType access, Oid class_id, Oid object, int sub_object,
                       void* argument) {
    if (previous_access_hook != NULL) {
        previous_access_hook(access, class_id, object, sub_object, argument);
    }
    if (access != OAT_DROP || class_id != ExtensionRelationId) return;
    if (get_extension_oid(kExtensionName, true) == object) wake_manager_at_commit();
}

}  // namespace

bool begin_extension_transaction() {
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    for (;;) {
        const Oid extension = get_extension_oid(kExtensionName, true);
        if (!OidIsValid(extension)) {
            CommitTransactionCommand();
            return false;
        }
        LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
        // It may have been dropped, or made again, while we waited.
        if (get_extension_oid(kExtensionName, true) == extension) break;
        UnlockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
    }
    PushActiveSnapshot(GetTransactionSnapshot());
    return true;
}

void end_extension_transaction() {
    PopActiveSnapshot();
    CommitTransactionCommand();
}

void install_extension_drop_hook() {
    previous_access_hook = object_access_hook;
    object_access_hook = see_object_access;
}

}  // namespace anomaly::pg
