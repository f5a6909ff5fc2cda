// The seed's messages: readings of processor load, as Python's json.dumps writes them.
#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace anomaly::demo {

struct ReadingOptions {
    uint64_t seed = 1;
    int32_t hosts = 0;  // 0: the seven of the seed; else hostname0, hostname1, ...
    int32_t cpus = 0;   // 0: cpu1 to cpu5; else cpu0, cpu1, ...
};

class Readings {
  public:
    explicit Readings(const ReadingOptions& options);

    // The next reading at this event time; key() and value() hold it until the next call.
    void next(int64_t occurred_at_ms);
    const std::string& key() const { return key_; }
    const std::string& value() const { return value_; }
    // The same for all readings of a host, whatever the machine.
    uint32_t host_hash() const { return host_hash_; }

  private:
    uint32_t below(uint32_t limit);

    const ReadingOptions options_;
    std::mt19937_64 source_;
    std::string host_;
    std::string key_;
    std::string value_;
    uint32_t host_hash_ = 0;
};

}  // namespace anomaly::demo
