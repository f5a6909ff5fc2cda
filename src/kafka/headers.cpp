#include "kafka/headers.h"

#include <cstdio>
#include <string_view>

namespace anomaly::kafka {
namespace {

void append_string(std::string_view bytes, std::string& out) {
    out += '"';
    for (char c : bytes) {
        auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(byte));
            out += escape;
        } else {
            out += c;
        }
    }
    out += '"';
}

}  // namespace

std::string headers_as_json(const rd_kafka_message_t& message) {
    std::string out = "{";
    rd_kafka_headers_t* headers = nullptr;
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    // A message without headers has none of these.
    bool any = rd_kafka_message_headers(&message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR;
    for (size_t i = 0; any && rd_kafka_header_get_all(headers, i, &name, &value, &size) ==
                                  RD_KAFKA_RESP_ERR_NO_ERROR;
         i++) {
        if (i > 0) out += ", ";
        append_string(name, out);
        out += ": ";
        if (value == nullptr) {
            out += "null";
        } else {
            append_string({static_cast<const char*>(value), size}, out);
        }
    }
    return out + "}";
}

}  // namespace anomaly::kafka
