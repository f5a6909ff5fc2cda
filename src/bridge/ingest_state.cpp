#include "bridge/ingest_state.h"

#include <malloc.h>

#include <algorithm>

namespace anomaly::bridge {

namespace {

// A partition this far ahead of the slowest in event time waits for it.
constexpr int64_t kSkewLimitUs = 600000000;

bool has_headers(const StreamSpec& stream) {
    return std::any_of(stream.columns, stream.columns + stream.column_count,
                       [](const StreamColumnSpec& c) { return c.source == Source::kHeaders; });
}

}  // namespace

Ingest::Ingest(const StreamSpec& stream, const kafka::Properties& properties,
               const IngestOptions& options)
    : reader(stream.topic, properties, has_headers(stream)),
      pipeline(stream, options.database_is_utf8),
      batch_rows_(std::max(options.batch_rows, 1)),
      batch_bytes_(std::max<int64_t>(options.batch_bytes, 1)),
      gait_(stream.idle_timeout_us) {}

void Ingest::poll(int64_t now_us, PollResult* out) {
    SourceClock& source = pipeline.source();
    source.tick(now_us);
    // Only now: the first batch after a silence has been taken care of without delay.
    if (batch_.size() > 0) reader.set_gait(gait_.awake());
    take_events(now_us);
    pull();
    has_batch = batch_.size() > 0;
    if (has_batch) {
        batch_.finish();
        batch_is_begun_ = false;
        batch_at_us_ = now_us;
    } else {
        follow_reader();
        partitions_.clear();
        source.take_confirms(pipeline.has_open_windows(), now_us, partitions_);
        for (int32_t partition : partitions_) reader.request_eof(partition);
    }
    choose_gait(now_us);
    if (!has_batch && source.all_at_end()) give_back_memory();
    *out = {};
    out->has_batch = has_batch;
    out->wants_commit = !lost_.empty() || pipeline.wants_commit(now_us);
    out->drained = !batch_is_full_;
    out->all_at_end = !has_batch && source.all_at_end();
    out->broker = broker_;
    out->broker_error = broker_error_.c_str();
    out->deadline_us = source.next_confirm_us(pipeline.has_open_windows());
    out->deadline_us = std::min(out->deadline_us, gait_.due_us(now_us));
    out->deadline_us = std::max(out->deadline_us, now_us);
    out->lost = lost_.data();
    out->lost_count = static_cast<int32_t>(lost_.size());
}

// What the client had fetched ahead is free again after a long read, and the allocator keeps it.
void Ingest::give_back_memory() {
    constexpr int64_t kLongReadBytes = int64_t{128} << 20;
    if (byte_count - given_back_at_ < kLongReadBytes) return;
    given_back_at_ = byte_count;
    malloc_trim(0);
}

void Ingest::choose_gait(int64_t now_us) {
    gait_.note_quiet(now_us, !has_batch && !meets && broker_ == Broker::kReachable &&
                                 pipeline.source().all_at_end() && !pipeline.has_open_windows());
    if (gait_.wants_lag(now_us)) gait_.note_lag(now_us, reader.lag());
    if (!has_batch) reader.set_gait(gait_.at(now_us));
}

void Ingest::begin_batch() {
    if (batch_is_begun_) return;
    batch_is_begun_ = true;
    pipeline.begin(batch_, batch_at_us_);
}

void Ingest::put_batch_aside(const char* reason) {
    pipeline.put_aside(batch_, reason);
    has_batch = false;
}

void Ingest::replay(int32_t table, const ReplayedMessage* messages, int32_t count, int64_t now_us) {
    batch_.clear();
    for (int32_t i = 0; i < count; i++) {
        const ReplayedMessage& m = messages[i];
        batch_.add(m.partition, m.offset, m.timestamp_ms, m.value, m.value_size, m.key, m.key_size);
    }
    batch_.finish();
    has_batch = batch_is_begun_ = count > 0;
    if (has_batch) pipeline.begin(batch_, now_us, table);
}

void Ingest::take_events(int64_t now_us) {
    events_.clear();
    lost_.clear();
    lost_reasons_.clear();
    reader.events(events_);
    for (const kafka::Event& event : events_) take_event(event, now_us);
    for (size_t i = 0; i < lost_.size(); i++) lost_[i].reason = lost_reasons_[i].c_str();
}

void Ingest::take_event(const kafka::Event& event, int64_t now_us) {
    SourceClock& source = pipeline.source();
    switch (event.kind) {
        case kafka::EventKind::kLostRange:
            lost_.push_back({event.partition, event.offset, event.to_offset, ""});
            lost_reasons_.push_back(event.text);
            [[fallthrough]];  // it is read from another place now, as if it were new
        case kafka::EventKind::kAssigned:
        case kafka::EventKind::kPartitionAdded: {
            kafka::Start start = reader.progress(event.partition);
            pipeline.assign(
                {event.partition, start.next_offset, start.last_offset, start.last_hash, kNoTime});
            break;
        }
        case kafka::EventKind::kEof:
            source.broker_eof(event.partition, now_us);
            break;
        case kafka::EventKind::kTopicMissing:
            broker_ = Broker::kTopicMissing;
            broker_error_ = event.text;
            break;
        case kafka::EventKind::kTopicFound:
            broker_ = Broker::kReachable;
            broker_error_.clear();
            break;
        case kafka::EventKind::kBrokerDown:
            broker_ = Broker::kUnreachable;
            broker_error_ = event.text;
            source.broker_down();
            break;
        case kafka::EventKind::kBrokerUp:
            broker_ = Broker::kReachable;
            broker_error_.clear();
            source.broker_up();
            break;
    }
}

// Every partition gets a fair part of the batch, the furthest behind what is left of it.
void Ingest::pull() {
    batch_.clear();
    // Readers that meet have a limit in each partition, which keeps them from running ahead.
    int64_t skew_limit_us = meets ? INT64_MAX : kSkewLimitUs;
    pipeline.source().partitions_to_read(skew_limit_us, turn_++, partitions_);
    // What a batch adds to the state stays within bounds, whatever the windows.
    int32_t most = std::max(batch_rows_ / static_cast<int32_t>(pipeline.windows_at_once()), 1);
    int32_t share = most / std::max(static_cast<int32_t>(partitions_.size()), 1);
    for (int32_t rows : {std::max(share, 1), most}) {
        for (int32_t partition : partitions_) {
            int32_t limit = std::min(batch_.size() + rows, most);
            reader.pull(partition, batch_, limit, batch_bytes_);
        }
    }
    batch_is_full_ = batch_.size() >= most || static_cast<int64_t>(batch_.bytes()) >= batch_bytes_;
    message_count += batch_.size();
    byte_count += static_cast<int64_t>(batch_.bytes());
}

// Past what is no message: marks of transactions, a limit.
void Ingest::follow_reader() {
    for (const PartitionProgress& p : pipeline.positions()) {
        if (!pipeline.source().is_assigned(p.partition)) continue;
        int64_t offset = reader.position(p.partition);
        if (offset > p.next_offset) pipeline.advance(p.partition, offset);
    }
}

}  // namespace anomaly::bridge
