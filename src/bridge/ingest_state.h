// What an ingest handle is: a reader and a pipeline, joined. Private to the bridge. One thread.
#pragma once

#include <string>
#include <vector>

#include "bridge/gait_choice.h"
#include "bridge/ingest.h"
#include "core/table/pipeline.h"
#include "kafka/reader.h"

namespace anomaly::bridge {

struct Ingest {
    Ingest(const StreamSpec& stream, const kafka::Properties& properties,
           const IngestOptions& options);

    // One turn: what happened, then a batch, or questions to the broker.
    void poll(int64_t now_us, PollResult* out);
    // What poll took has been looked at by nobody until one of these.
    void begin_batch();
    void put_batch_aside(const char* reason);
    const MessageBatch& batch() const { return batch_; }
    void set_batch_rows(int32_t rows) { batch_rows_ = rows; }
    // A batch of messages that were put aside, for one table.
    void replay(int32_t table, const ReplayedMessage* messages, int32_t count, int64_t now_us);
    // INT64_MAX: it is not quiet.
    int64_t quiet_since_us() const { return gait_.quiet_since_us(); }
    int64_t position(int32_t partition) const { return reader.position(partition); }

    kafka::Reader reader;
    Pipeline pipeline;
    bool has_batch = false;  // taken in and not folded yet
    bool meets = false;      // reads up to limits
    int64_t message_count = 0;
    int64_t byte_count = 0;
    std::string log_line;
    std::vector<uint32_t> pending_slots;  // that the caller looks at

  private:
    void take_events(int64_t now_us);
    void take_event(const kafka::Event& event, int64_t now_us);
    void pull();
    void follow_reader();
    void choose_gait(int64_t now_us);
    void give_back_memory();

    int32_t batch_rows_;
    int64_t batch_bytes_;
    MessageBatch batch_;
    bool batch_is_begun_ = false;
    int64_t batch_at_us_ = 0;  // when it was taken
    uint32_t turn_ = 0;
    bool batch_is_full_ = false;
    int64_t given_back_at_ = 0;  // byte_count then
    GaitChoice gait_;
    Broker broker_ = Broker::kStarting;
    std::string broker_error_;
    std::vector<kafka::Event> events_;
    std::vector<std::string> lost_reasons_;
    std::vector<LostRange> lost_;
    std::vector<int32_t> partitions_;
};

}  // namespace anomaly::bridge
