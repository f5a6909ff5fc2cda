#include "core/table/checkpoint.h"

#include <zlib.h>

#include <algorithm>

namespace anomaly {

namespace {

using Extent = GroupStore::Extent;

constexpr uint8_t kVersion = 2;
constexpr int64_t kLogBytesMin = 1 << 20;

// Over where the row belongs too: a row under another number is as bad as a broken one.
uint32_t checksum(const CheckpointRow& row, bool last, std::string_view slice) {
    ByteWriter place;
    place.byte(kVersion);
    place.byte(last ? 1 : 0);
    place.byte(static_cast<uint8_t>(row.kind));
    place.zigzag(row.shard);
    place.zigzag(row.sequence);
    place.zigzag(row.part);
    uLong crc = crc32(0, reinterpret_cast<const Bytef*>(place.view().data()),
                      static_cast<uInt>(place.size()));
    crc = crc32(crc, reinterpret_cast<const Bytef*>(slice.data()), static_cast<uInt>(slice.size()));
    return static_cast<uint32_t>(crc);
}

std::string name_of(const CheckpointRow& row) {
    std::string name = row.kind == CheckpointKind::kSnapshot
                           ? "snapshot of shard " + std::to_string(row.shard)
                           : std::string("changes");
    return name + " of commit " + std::to_string(row.sequence) + ", part " +
           std::to_string(row.part);
}

Error corrupt(const CheckpointRow& row, const char* what) {
    return "checkpoint " + name_of(row) + ": " + what;
}

}  // namespace

void CheckpointPayload::begin(CheckpointKind kind, int32_t shard, int64_t sequence) {
    row_ = {kind, shard, sequence, -1, nullptr, 0};
    size_ = 0;
    constexpr char kFront[kFrontBytes] = {};
    out_.clear();
    out_.raw({kFront, kFrontBytes});
    slice_at_ = kFrontBytes;
    store_.write_shape(out_);
}

void CheckpointPayload::begin_groups(std::span<const uint32_t> slots, Extent extent) {
    out_.varint(slots.size());
    cursor_ = {slots, extent};
    is_open_ = true;
}

void CheckpointPayload::begin_delta(std::span<const uint32_t> slots, int64_t watermark,
                                    int64_t sequence) {
    begin(CheckpointKind::kDelta, 0, sequence);
    out_.fixed64(static_cast<uint64_t>(watermark));
    begin_groups(slots, Extent::kChange);
}

void CheckpointPayload::begin_snapshot(std::span<const uint32_t> slots, int32_t shard,
                                       int64_t sequence) {
    begin(CheckpointKind::kSnapshot, shard, sequence);
    begin_groups(slots, Extent::kWhole);
}

// The header goes where the end of the slice before was, which nobody needs any more. So bytes are
// moved only when less than a row is left of them, however large one group is.
const CheckpointRow* CheckpointPayload::next() {
    if (!is_open_) return nullptr;
    if (out_.size() - slice_at_ <= kSliceBytes) {
        out_.drop_front(slice_at_ - kFrontBytes);
        slice_at_ = kFrontBytes;
        store_.write_groups(cursor_, slice_at_ + kSliceBytes, out_);
    }
    const std::string_view slice = out_.view().substr(slice_at_, kSliceBytes);
    const bool last = slice_at_ + slice.size() == out_.size();
    row_.part++;
    char* header = out_.data() + slice_at_ - kHeaderBytes;
    header[0] = static_cast<char>(kVersion);
    header[1] = last ? 1 : 0;
    const uint32_t sum = checksum(row_, last, slice);
    for (int i = 0; i < 4; i++) header[2 + i] = static_cast<char>(sum >> (8 * i));
    row_.data = header;
    row_.size = static_cast<int32_t>(kHeaderBytes + slice.size());
    slice_at_ += slice.size();
    size_ += static_cast<int64_t>(slice.size());
    is_open_ = !last;
    return &row_;
}

void SnapshotSchedule::restored_snapshot(int32_t shard, int64_t sequence) {
    snapshots_[shard] = sequence;
}

void SnapshotSchedule::append(int64_t sequence, int64_t bytes) {
    if (oldest_delta_ == 0) oldest_delta_ = sequence;
    log_bytes_ += bytes;
}

void SnapshotSchedule::restored_delta(int64_t sequence, int64_t bytes) {
    append(sequence, bytes);
}

// More rarely, and a restart has more to read; more often, and commits write the state more often.
void SnapshotSchedule::wrote_delta(int64_t sequence, int64_t bytes, int64_t state_bytes) {
    append(sequence, bytes);
    if (pass_from_ == 0 && log_bytes_ > std::max(kLogBytesMin, 3 * state_bytes)) {
        pass_from_ = sequence;
        log_bytes_ = 0;
    }
    budget_bytes_ = std::max<int64_t>(bytes, 1);
}

int32_t SnapshotSchedule::next_shard() const {
    if (pass_from_ == 0 || budget_bytes_ <= 0) return -1;
    const int64_t* oldest = std::min_element(std::begin(snapshots_), std::end(snapshots_));
    return static_cast<int32_t>(oldest - snapshots_);
}

void SnapshotSchedule::wrote_shard(int32_t shard, int64_t sequence, int64_t bytes) {
    snapshots_[shard] = sequence;
    budget_bytes_ -= bytes;
    if (*std::min_element(std::begin(snapshots_), std::end(snapshots_)) >= pass_from_) {
        pass_from_ = 0;
    }
}

SequenceRange SnapshotSchedule::take_obsolete() {
    const int64_t needed = *std::min_element(std::begin(snapshots_), std::end(snapshots_));
    const int64_t from = oldest_delta_;
    oldest_delta_ = std::clamp(needed, from, from + kRemovedAtOnce);
    return {from, oldest_delta_};
}

CheckpointRestore::CheckpointRestore(GroupStore& store, SnapshotSchedule& schedule,
                                     int64_t first_open_window)
    : store_(store), schedule_(schedule), first_open_window_(first_open_window) {}

Error CheckpointRestore::add(const CheckpointRow& row) {
    if (row.kind != CheckpointKind::kDelta && row.kind != CheckpointKind::kSnapshot) {
        return "checkpoint row of unknown kind " + std::to_string(static_cast<int>(row.kind));
    }
    if (row.shard < 0 || row.shard >= kShardCount) return corrupt(row, "no such shard");
    ByteReader in({row.data, static_cast<size_t>(row.size)});
    uint8_t version = in.byte();
    bool last = in.byte() != 0;
    uint32_t expected = in.fixed32();
    if (!in.ok()) return corrupt(row, "cut short");
    if (version != kVersion) return corrupt(row, "written by another version of the extension");
    std::string_view slice = in.rest();
    if (checksum(row, last, slice) != expected) return corrupt(row, "wrong checksum");
    if (!is_pending_) {
        pending_ = row;
        pending_.part = 0;
        payload_.clear();
    }
    bool follows = row.kind == pending_.kind && row.shard == pending_.shard &&
                   row.sequence == pending_.sequence && row.part == pending_.part;
    if (!follows) return corrupt(row, "a part before it is missing");
    payload_.append(slice);
    pending_.part++;
    is_pending_ = !last;
    return last ? take(row.kind, row.shard, row.sequence, payload_) : Error();
}

Error CheckpointRestore::take(CheckpointKind kind, int32_t shard, int64_t sequence,
                              std::string_view payload) {
    CheckpointRow row = {kind, shard, sequence, 0, nullptr, 0};
    ByteReader in(payload);
    if (!store_.read_shape(in)) return corrupt(row, "made by another definition of the table");
    Error error;
    if (kind == CheckpointKind::kSnapshot) {
        error = take_snapshot(shard, sequence, in);
    } else {
        schedule_.restored_delta(sequence, static_cast<int64_t>(payload.size()));
        error = take_delta(sequence, in);
    }
    if (error) return error;
    if (!in.ok() || !in.at_end()) return corrupt(row, "unreadable");
    return {};
}

Error CheckpointRestore::take_snapshot(int32_t shard, int64_t sequence, ByteReader& in) {
    CheckpointRow row = {CheckpointKind::kSnapshot, shard, sequence, 0, nullptr, 0};
    if (last_delta_ != 0) return corrupt(row, "came after changes");
    if (snapshots_[shard] != 0) return corrupt(row, "not the only one of its shard");
    snapshots_[shard] = sequence;
    schedule_.restored_snapshot(shard, sequence);
    // It begins with the number of its groups; other shards have about as many.
    ByteReader ahead = in;
    store_.expect(std::min(ahead.varint(), in.left()) * kShardCount);
    bool foreign = false;
    bool ok = store_.read_groups(in, Extent::kWhole, [&](int64_t window, int32_t group_shard) {
        foreign = foreign || group_shard != shard;
        return window >= first_open_window_;
    });
    if (!ok || foreign) return corrupt(row, "unreadable");
    return {};
}

Error CheckpointRestore::take_delta(int64_t sequence, ByteReader& in) {
    CheckpointRow row = {CheckpointKind::kDelta, 0, sequence, 0, nullptr, 0};
    int64_t oldest = *std::min_element(std::begin(snapshots_), std::end(snapshots_));
    bool follows = last_delta_ == 0 ? sequence <= oldest + 1 : sequence == last_delta_ + 1;
    if (!follows) return corrupt(row, "changes of a commit before it are missing");
    last_delta_ = sequence;
    watermark_ = static_cast<int64_t>(in.fixed64());
    bool ok = store_.read_groups(in, Extent::kChange, [&](int64_t window, int32_t shard) {
        return window >= first_open_window_ && sequence > snapshots_[shard];
    });
    if (!ok) return corrupt(row, "unreadable");
    return {};
}

Error CheckpointRestore::finish(int64_t sequence, int64_t watermark) {
    if (is_pending_) return corrupt(pending_, "missing");
    if (last_delta_ != sequence) {
        return "the checkpoint ends with commit " + std::to_string(last_delta_) +
               ", the table with commit " + std::to_string(sequence);
    }
    if (sequence != 0 && watermark_ != watermark) {
        return std::string("the checkpoint has another watermark than the table");
    }
    return {};
}

}  // namespace anomaly
