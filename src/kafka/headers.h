// The headers of a Kafka message.
#pragma once

#include <librdkafka/rdkafka.h>

#include <string>

namespace anomaly::kafka {

// As the text of a JSON object: names and values, a null value as null; in their order, also where
// a name comes more than once. Bytes that are no UTF-8 stay as they are: the reader looks for them.
std::string headers_as_json(const rd_kafka_message_t& message);

}  // namespace anomaly::kafka
