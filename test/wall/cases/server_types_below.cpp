// side: below
// refused: fmgr.h: No such file or directory
#ifdef VIOLATION
#include "fmgr.h"
#endif
#include "bridge/status.h"

bool answer(const anomaly::bridge::Status& status) {
    return status.ok();
}
