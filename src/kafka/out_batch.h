// Messages on their way out, copied once into one buffer: what a statement wrote and the producer
// has not sent yet.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace anomaly::kafka {

struct OutHeader {
    std::string_view name;
    const char* value;  // nullptr: null
    int32_t value_size;
};

// Views: copied by whoever keeps it.
struct OutMessage {
    std::string_view topic;
    int32_t partition;     // -1: the key's, or any
    int64_t timestamp_ms;  // 0: when it is sent
    const char* key;       // nullptr: null
    int32_t key_size;
    const char* value;  // nullptr: null
    int32_t value_size;
    const OutHeader* headers;
    int32_t header_count;
};

class OutBatch {
  public:
    void add(const OutMessage& message);
    int32_t size() const { return static_cast<int32_t>(entries_.size()); }
    int64_t bytes() const;
    // Valid until the next call; headers are put into `headers`.
    OutMessage message(int32_t i, std::vector<OutHeader>& headers) const;

  private:
    struct Entry {
        int32_t topic;
        int32_t partition;
        int64_t timestamp_ms;
        int32_t key_size;  // -1: null
        int32_t value_size;
        int32_t header_count;
        size_t at;  // key, value, then the headers
    };
    int32_t topic_number(std::string_view topic);
    void append(const void* bytes, int32_t size);

    std::vector<std::string> topics_;
    std::vector<Entry> entries_;
    std::vector<char> buffer_;
};

// What a transaction has written and not handed over, by subtransaction: PostgreSQL's nesting
// level, 1 for the transaction itself. One owner, one thread.
class OutLevels {
  public:
    static constexpr int64_t kBatchBytes = 1 << 20;

    void add(int32_t level, const OutMessage& message);
    // The subtransaction of that level has committed: what is in it is its parent's.
    void release(int32_t level);
    // It has not: what is in it and above it was never written.
    void drop(int32_t level);
    // Takes out what no subtransaction can take back.
    std::vector<OutBatch> take();

    int64_t bytes() const { return bytes_; }  // of all levels
    int64_t bytes_to_take() const;

  private:
    struct Level {
        int32_t level;
        std::vector<OutBatch> batches;
    };
    std::vector<Level> levels_;  // ascending
    int64_t bytes_ = 0;
};

}  // namespace anomaly::kafka
