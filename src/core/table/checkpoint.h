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
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/group/group_store.h"
#include "core/spec.h"

namespace anomaly {

// The rows of one commit, with their bytes. A payload is written into out() and cut into rows while
// it grows: begin, then cut after each piece, then end.
class CheckpointRows {
  public:
    void begin(CheckpointKind kind, int32_t shard, int64_t sequence);
    ByteWriter& out() { return out_; }
    void cut() {
        while (out_.size() > kSliceBytes) add_row(kSliceBytes, false);
    }
    // Size of the payload.
    int64_t end();
    // Views handed out before stay valid until then.
    void clear();
    const std::vector<CheckpointRow>& rows() const { return rows_; }

  private:
    static constexpr size_t kHeaderBytes = 6;  // version, last part or not, checksum
    static constexpr size_t kSliceBytes = kCheckpointRowBytes - kHeaderBytes;
    std::string& block_for(size_t size);
    void add_row(size_t slice_bytes, bool last);

    std::vector<CheckpointRow> rows_;
    std::deque<std::string> blocks_;
    CheckpointRow next_ = {};
    int64_t payload_bytes_ = 0;
    ByteWriter out_;
};

// Decides when shards are snapshot: once the log since the last pass is twice the state, each
// commit writes about as many bytes of snapshots as of deltas until all shards are through.
class SnapshotSchedule {
  public:
    void restored_snapshot(int32_t shard, int64_t sequence);
    void restored_delta(int64_t bytes) { log_bytes_ += bytes; }

    // A commit wrote its delta. state_bytes: about the size of all groups.
    void wrote_delta(int64_t sequence, int64_t bytes, int64_t state_bytes);
    // The next shard that this commit should write, -1: none.
    int32_t next_shard() const;
    void wrote_shard(int32_t shard, int64_t sequence, int64_t bytes);

    int64_t obsolete_below() const;

  private:
    int64_t snapshots_[kShardCount] = {};  // sequence of each shard's newest, 0: none
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

// Each adds a payload to the rows; its size comes back.
int64_t write_delta(GroupStore& store, std::span<const uint32_t> slots, int64_t watermark,
                    int64_t sequence, CheckpointRows& rows);
int64_t write_snapshot(GroupStore& store, std::span<const uint32_t> slots, int32_t shard,
                       int64_t sequence, CheckpointRows& rows);

}  // namespace anomaly
