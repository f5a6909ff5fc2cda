#include "bridge/watch.h"

#include <vector>

#include "bridge/guard.h"
#include "kafka/watch.h"

namespace anomaly::bridge {

struct Watches {
    kafka::Watches watches;
    std::vector<kafka::WatchNews> found;
    std::vector<WatchNews> news;
};

Status watches_open(Watches** out) noexcept {
    return guard([&] { *out = new Watches; });
}

int watches_fd(const Watches* watches) noexcept {
    return watches->watches.fd();
}

Status watches_add(Watches* watches, uint32_t id, const char* topic, const Property* properties,
                   int32_t property_count, const RestPosition* at, int32_t count) noexcept {
    return guard([&] {
        kafka::Properties list;
        for (int32_t i = 0; i < property_count; i++)
            list.emplace_back(properties[i].name, properties[i].value);
        std::vector<kafka::Start> starts;
        for (int32_t i = 0; i < count; i++) starts.push_back({at[i].partition, at[i].offset});
        watches->watches.add(id, topic, list, starts);
    });
}

// What cannot be taken out stays watched: its news are nobody's.
void watches_remove(Watches* watches, uint32_t id) noexcept {
    (void)guard([&] { watches->watches.remove(id); });
}

Status watches_poll(Watches* watches, const WatchNews** news, int32_t* count) noexcept {
    return guard([&] {
        watches->found.clear();
        watches->news.clear();
        watches->watches.poll(watches->found);
        for (const auto& [id, at_end, why] : watches->found)
            watches->news.push_back({id, at_end, why.c_str()});
        *news = watches->news.data();
        *count = static_cast<int32_t>(watches->news.size());
    });
}

}  // namespace anomaly::bridge
