// The checkpoint log of one table: how its rows are framed, when which shard is written anew, and
// how the rows become state again. Bytes are portable, versioned and checksummed; there is nothing
// in them that belongs to one server. One thread.
//
// Each commit writes a delta: the state of every group it changed (of kept values those that are
// new), and the watermark (so that
// the windows it closed are known). Shards of all groups are snapshot in passes, so that old deltas
// can go.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/group/group_store.h"
#include "core/spec.h"

namespace anomaly {

// One payload of the log, cut into rows while it is written: no more of it is there than the next
// row needs.
class CheckpointPayload {
  public:
    explicit CheckpointPayload(GroupStore& store) : store_(store) {}

    // The slots have to stay as they are until the last row has been given.
    void begin_delta(std::span<const uint32_t> slots, int64_t watermark, int64_t sequence);
    void begin_snapshot(std::span<const uint32_t> slots, int32_t shard, int64_t sequence);

    // Its bytes are valid until the next call; nullptr: that was the last.
    const CheckpointRow* next();
    // Of the payload, as far as it was given.
    int64_t size() const { return size_; }

  private:
    static constexpr size_t kHeaderBytes = 6;  // version, last part or not, checksum
    static constexpr size_t kFrontBytes = kCheckpointRoomBytes + kHeaderBytes;
    static constexpr size_t kSliceBytes =
        (kCheckpointRowBytes - kHeaderBytes) / kCheckpointRoomBytes * kCheckpointRoomBytes;
    void begin(CheckpointKind kind, int32_t shard, int64_t sequence);
    void begin_groups(std::span<const uint32_t> slots, GroupStore::Extent extent);

    GroupStore& store_;
    GroupStore::Cursor cursor_;
    CheckpointRow row_ = {};
    bool is_open_ = false;
    int64_t size_ = 0;
    ByteWriter out_;
    size_t slice_at_ = 0;  // the next row's, in out_; what lies before it was given
};

// Decides when shards are snapshot: once the log since the last pass is three times the state, each
// commit writes about as many bytes of snapshots as of deltas until all shards are through.
class SnapshotSchedule {
  public:
    void restored_snapshot(int32_t shard, int64_t sequence);
    void restored_delta(int64_t sequence, int64_t bytes);

    // A commit wrote its delta. state_bytes: about the size of all groups.
    void wrote_delta(int64_t sequence, int64_t bytes, int64_t state_bytes);
    // The next shard that this commit should write, -1: none.
    int32_t next_shard() const;
    void wrote_shard(int32_t shard, int64_t sequence, int64_t bytes);

    // Deltas that this commit should remove. After a pass there are as many as commits have been
    // since the one before; a few with each commit hold up none of them.
    SequenceRange take_obsolete();

  private:
    static constexpr int64_t kRemovedAtOnce = 4;

    void append(int64_t sequence, int64_t bytes);

    int64_t snapshots_[kShardCount] = {};  // sequence of each shard's newest, 0: none
    int64_t oldest_delta_ = 0;             // that is still in the log, 0: none
    int64_t log_bytes_ = 0;                // deltas since the last pass began
    int64_t pass_from_ = 0;                // sequence at which the pass began, 0: none runs
    int64_t budget_bytes_ = 0;             // this commit may still write
};

// Takes the rows of a log, snapshots first, then deltas in order, into an empty store. Whatever
// cannot be read, or is missing, is an error; never a wrong state.
class CheckpointRestore {
  public:
    // Groups of windows below first_open_window are closed and left out.
    CheckpointRestore(GroupStore& store, SnapshotSchedule& schedule, int64_t first_open_window);

    Error add(const CheckpointRow& row);
    // sequence, watermark: what the table's progress says.
    Error finish(int64_t sequence, int64_t watermark);

  private:
    Error take(CheckpointKind kind, int32_t shard, int64_t sequence, std::string_view payload);
    Error take_snapshot(int32_t shard, int64_t sequence, ByteReader& in);
    Error take_delta(int64_t sequence, ByteReader& in);

    GroupStore& store_;
    SnapshotSchedule& schedule_;
    int64_t first_open_window_;
    int64_t snapshots_[kShardCount] = {};
    int64_t last_delta_ = 0;  // 0: none yet
    int64_t watermark_ = kNoTime;
    CheckpointRow pending_ = {};  // of which parts are still to come; part = the next
    bool is_pending_ = false;
    std::string payload_;
};

}  // namespace anomaly
