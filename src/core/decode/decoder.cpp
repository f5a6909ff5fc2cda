#include "core/decode/decoder.h"

#include "core/decode/csv_decoder.h"
#include "core/decode/json_decoder.h"
#include "core/decode/raw_decoder.h"

namespace anomaly {

std::unique_ptr<Decoder> make_decoder(const StreamSpec& stream, bool database_is_utf8) {
    switch (stream.format) {
        case Format::kCsv:
            return std::make_unique<CsvDecoder>(stream, database_is_utf8);
        case Format::kRaw:
            return std::make_unique<RawDecoder>(stream, database_is_utf8);
        case Format::kJson:
            break;
    }
    return std::make_unique<JsonDecoder>(stream, database_is_utf8);
}

}  // namespace anomaly
