#include "kafka/mirror.h"

#include <utility>

namespace anomaly::kafka {

void Mirror::send(rd_kafka_t* client, rd_kafka_queue_t* queue) {
    if (is_awaited_ || wanted_.empty()) return;
    asked_ = std::exchange(wanted_, {});
    const Owned<rd_kafka_topic_partition_list_t> list(
        rd_kafka_topic_partition_list_new(static_cast<int>(asked_.size())));
    for (const Start& at : asked_) {
        if (at.next_offset < 0) continue;
        rd_kafka_topic_partition_list_add(list.get(), topic_.c_str(), at.partition)->offset =
            at.next_offset;
    }
    if (list->cnt == 0) return;
    is_awaited_ = rd_kafka_commit_queue(client, list.get(), queue, nullptr, nullptr) ==
                  RD_KAFKA_RESP_ERR_NO_ERROR;
}

void Mirror::lose_client() {
    if (!std::exchange(is_awaited_, false) || !wanted_.empty()) return;
    wanted_ = std::move(asked_);
}

}  // namespace anomaly::kafka
