#include "kafka/trouble.h"

namespace anomaly::kafka {

bool Trouble::take(rd_kafka_event_t* event) {
    if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_ERROR) return false;
    switch (rd_kafka_event_error(event)) {
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
            if (text_.empty()) text_ = rd_kafka_event_error_string(event);
            return true;
        case RD_KAFKA_RESP_ERR__AUTHENTICATION:
            refused_ = true;
            text_ = rd_kafka_event_error_string(event);
            return true;
        case RD_KAFKA_RESP_ERR__TRANSPORT:
        case RD_KAFKA_RESP_ERR__RESOLVE:
        case RD_KAFKA_RESP_ERR__SSL:
            if (!refused_) text_ = rd_kafka_event_error_string(event);
            return true;
        default:
            return false;
    }
}

}  // namespace anomaly::kafka
