#include "core/decode/json_shape.h"

namespace anomaly {
namespace {

// Learning a large message costs more than it can save.
constexpr size_t kLargestMessageBytes = 4096;

}  // namespace

void JsonShape::finish(std::string_view message) {
    if (message.size() > kLargestMessageBytes) return;
    slots_.resize(places_.size());
    const char* at = message.data();
    for (size_t i = 0; i < places_.size(); i++) {
        const Place& place = places_[i];
        slots_[i].literal.assign(at, place.token.data());
        slots_[i].node = place.node;
        at = place.token.data() + place.token.size();
    }
    tail_.assign(at, message.data() + message.size());
}

}  // namespace anomaly
