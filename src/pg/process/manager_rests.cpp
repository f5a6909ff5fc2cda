#include "pg/process/manager_rests.h"

#include "bridge/watch.h"

#include "pg/server/call.h"
#include "pg/server/guc.h"
#include "pg/server/subtransaction.h"
#include "pg/shared/extension_lock.h"
#include "pg/shared/shmem_rest.h"
#include "pg/stream/stream.h"

namespace anomaly::pg {

namespace {

struct Rest {
    Oid stream;
    uint32 number;
};

bridge::Watches* watches = NULL;
Rest* rests = NULL;
int rest_count = 0;

void make_room() {
    if (rests != NULL) return;
    const Size size = sizeof(Rest) * static_cast<Size>(settings.max_streams);
    rests = static_cast<Rest*>(MemoryContextAlloc(TopMemoryContext, size));
    check(bridge::watches_open(&watches));
}

void let_go(int which) {
    bridge::watches_remove(watches, rests[which].stream);
    rests[which] = rests[--rest_count];
}

// Whoever has locked the stream is not waited for: all others are woken here.
void begin_step(void* argument) {
    const RestRequest* request = static_cast<const RestRequest*>(argument);
    if (!ConditionalLockRelationOid(request->stream, AccessShareLock))
        ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE), errmsg("it is locked")));
    const StreamSource source = load_source(request->stream);
    check(bridge::watches_add(watches, request->stream, source.topic, source.properties,
                              source.property_count, request->at, request->count));
}

void let_go_awake() {
    for (int r = rest_count - 1; r >= 0; r--) {
        if (!rest_goes_on(rests[r].stream, rests[r].number)) let_go(r);
    }
}

// A stream that cannot be watched keeps its client, and asks again later.
void begin(RestRequest* request) {
    let_go_awake();  // it may be one of them, that has asked anew; and so there is room
    if (!begin_extension_transaction()) return;  // its worker is ended as well
    const ErrorData* error = run_in_subtransaction(begin_step, request, Containment::kTable);
    if (error == NULL) {
        rests[rest_count++] = {request->stream, request->number};
    } else {
        end_rest(request->stream, request->number);
        ereport(DEBUG1, (errmsg_internal("anomaly cannot watch the topic of stream %u: %s",
                                         request->stream, error->message)));
    }
    end_extension_transaction();
}

}  // namespace

void step_rests() {
    let_go_awake();
    RestRequest request;
    while (take_rest_request(&request)) {
        make_room();
        begin(&request);
    }
}

int rests_fd() {
    return watches == NULL ? -1 : bridge::watches_fd(watches);
}

// Workers first: to let go may end a client, and take a moment.
void take_rest_news() {
    const bridge::WatchNews* news = NULL;
    int32 count = 0;
    check(bridge::watches_poll(watches, &news, &count));
    for (int32 i = 0; i < count; i++) {
        for (int r = 0; r < rest_count; r++) {
            if (rests[r].stream != news[i].id) continue;
            if (news[i].at_end) {
                confirm_rest(rests[r].stream, rests[r].number);
            } else {
                end_rest(rests[r].stream, rests[r].number);
                ereport(DEBUG1, (errmsg_internal("anomaly wakes the worker of stream %u: %s",
                                                 rests[r].stream, news[i].why)));
            }
        }
    }
    let_go_awake();
}

}  // namespace anomaly::pg
