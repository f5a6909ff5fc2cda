#include "core/decoder.h"

#include "core/json_decoder.h"

namespace anomaly {

std::unique_ptr<Decoder> make_decoder(const StreamSpec& stream, bool database_is_utf8) {
    return std::make_unique<JsonDecoder>(stream, database_is_utf8);
}

}  // namespace anomaly
