#include "bridge/ingest.h"

#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>

#include "bridge/guard.h"
#include "bridge/ingest_state.h"

namespace anomaly::bridge {

namespace {

Status corrupt_or_fine(const Error& error) {
    return error ? failed(Code::kCorrupt, error->c_str()) : Status{};
}

// A state of many groups was made of small pieces, which the allocator keeps for itself.
void give_back_memory(const Pipeline& pipeline, size_t bytes_before) {
    constexpr size_t kWorthIt = size_t{64} << 20;
    if (pipeline.memory_bytes() + kWorthIt < bytes_before) malloc_trim(0);
}

RawMessage raw_message(const MessageBatch& batch, int32_t i) {
    const Message& m = batch[i];
    return {m.value_size < 0 ? nullptr : batch.value(i).data(),
            std::max(m.value_size, 0),
            m.key_size < 0 ? nullptr : batch.key(i).data(),
            std::max(m.key_size, 0),
            batch.headers(i).data(),
            m.headers_size,
            m.partition,
            m.offset,
            m.timestamp_ms};
}

// The partitions that either reader knows.
std::set<int32_t> partitions_of(const Ingest& a, const Ingest& b) {
    std::set<int32_t> partitions;
    for (const PartitionProgress& p : a.pipeline.positions()) partitions.insert(p.partition);
    for (const PartitionProgress& p : b.pipeline.positions()) partitions.insert(p.partition);
    return partitions;
}

bool reads(const Ingest& ingest, int32_t partition) {
    return ingest.pipeline.source().is_assigned(partition);
}

// The partitions of the first discovery are assigned all at once.
bool has_begun(const Ingest& ingest) {
    const auto& positions = ingest.pipeline.positions();
    return std::any_of(positions.begin(), positions.end(),
                       [&](const PartitionProgress& p) { return reads(ingest, p.partition); });
}

// -1: not known yet.
int64_t next_offset(const Ingest& ingest, int32_t partition) {
    const PartitionProgress* p = ingest.pipeline.position(partition);
    return p == nullptr || p->next_offset < 0 ? -1 : p->next_offset;
}

}  // namespace

Status ingest_open(const StreamSpec& stream, const IngestOptions& options, Ingest** out) noexcept {
    return guard([&] {
        kafka::Properties properties;
        for (int32_t i = 0; i < options.property_count; i++) {
            properties.emplace_back(options.properties[i].name, options.properties[i].value);
        }
        *out = new Ingest(stream, properties, options);
    });
}

void ingest_close(Ingest* ingest) noexcept {
    delete ingest;
}

int ingest_fd(const Ingest* ingest) noexcept {
    return ingest->reader.fd();
}

// ---- tables ----

Status ingest_add_table(Ingest* ingest, const TableSpec& spec, const TableProgress& progress,
                        int32_t* table) noexcept {
    return guard([&] {
        Error error = ingest->pipeline.add_table(spec, progress, table);
        if (!error) return Status{};
        std::string text = "table " + std::to_string(spec.id) + ": " + *error;
        return failed(Code::kInternal, text.c_str());
    });
}

Status ingest_restore(Ingest* ingest, int32_t table, const CheckpointRow& row) noexcept {
    return guard([&] { return corrupt_or_fine(ingest->pipeline.table(table)->restore(row)); });
}

Status ingest_restore_done(Ingest* ingest, int32_t table) noexcept {
    return guard([&] { return corrupt_or_fine(ingest->pipeline.table(table)->restore_done()); });
}

static_assert(kGroupKeyParts == kShardCount);

Status ingest_group_keys(const Ingest* ingest, int32_t table, int32_t part,
                         const ColumnView** keys) noexcept {
    return guard([&] { *keys = ingest->pipeline.table(table)->group_keys(part); });
}

void ingest_remove_table(Ingest* ingest, int32_t table) noexcept {
    const size_t before = ingest->pipeline.memory_bytes();
    ingest->pipeline.remove_table(table);
    give_back_memory(ingest->pipeline, before);
}

Status ingest_start(Ingest* ingest, const PartitionProgress* from, int32_t count,
                    int64_t otherwise) noexcept {
    return guard([&] {
        std::vector<kafka::Start> starts;
        for (int32_t i = 0; i < count; i++) {
            const PartitionProgress& p = from[i];
            starts.push_back({p.partition, p.next_offset, p.last_offset, p.last_hash});
            ingest->pipeline.remember(p);
        }
        ingest->reader.assign(std::move(starts), otherwise);
    });
}

Status ingest_read_until(Ingest* ingest, int32_t partition, int64_t offset) noexcept {
    return guard([&] { ingest->reader.set_limit(partition, offset); });
}

// ---- two readers that meet ----

int64_t ingest_distance(const Ingest* behind, const Ingest* ahead) noexcept {
    if (!has_begun(*behind) || !has_begun(*ahead)) return -1;
    int64_t distance = 0;
    for (const PartitionProgress& p : ahead->pipeline.positions()) {
        int64_t from = std::max<int64_t>(next_offset(*behind, p.partition), 0);
        distance += std::max<int64_t>(p.next_offset - from, 0);
    }
    return distance;
}

void ingest_meet(Ingest* a, Ingest* b) noexcept {
    // Out of memory here leaves them reading on: they do not meet, and nothing is lost.
    (void)guard([&] {
        for (int32_t partition : partitions_of(*a, *b)) {
            if (!reads(*a, partition) || !reads(*b, partition)) continue;
            int64_t limit = std::max(a->position(partition), b->position(partition));
            a->reader.set_limit(partition, limit);
            b->reader.set_limit(partition, limit);
        }
        a->meets = b->meets = true;
    });
}

void ingest_part(Ingest* ingest) noexcept {
    (void)guard([&] {
        ingest->reader.clear_limits();
        ingest->meets = false;
    });
}

bool ingest_met(const Ingest* a, const Ingest* b) noexcept {
    if (a->has_batch || b->has_batch) return false;
    if (a->pipeline.has_uncommitted() || b->pipeline.has_uncommitted()) return false;
    auto same = [](const Ingest& x, const Ingest& y) {
        return std::all_of(x.pipeline.positions().begin(), x.pipeline.positions().end(),
                           [&](const PartitionProgress& p) {
                               return p.next_offset >= 0 &&
                                      next_offset(y, p.partition) == p.next_offset;
                           });
    };
    return same(*a, *b) && same(*b, *a);
}

Status ingest_join(Ingest* to, Ingest* from, int32_t* moved_by) noexcept {
    return guard([&] {
        if (!ingest_met(to, from)) {
            return failed(Code::kInternal, "readers that have not met cannot be joined");
        }
        *moved_by = to->pipeline.table_count();
        to->pipeline.take_tables(from->pipeline);
        to->reader.clear_limits();
        to->meets = false;
        return Status{};
    });
}

// ---- the loop ----

Status ingest_poll(Ingest* ingest, int64_t now_us, PollResult* out) noexcept {
    return guard([&] {
        if (ingest->has_batch) return failed(Code::kInternal, "the batch at hand is not folded");
        ingest->poll(now_us, out);
        return Status{};
    });
}

Status ingest_replay(Ingest* ingest, int32_t table, const ReplayedMessage* messages, int32_t count,
                     int64_t now_us) noexcept {
    return guard([&] {
        if (ingest->has_batch) return failed(Code::kInternal, "the batch at hand is not folded");
        ingest->replay(table, messages, count, now_us);
        return Status{};
    });
}

Status ingest_next(Ingest* ingest, Request* out) noexcept {
    return guard([&] {
        *out = {};
        if (!ingest->has_batch) return;
        ingest->begin_batch();
        PipelineRequest request = ingest->pipeline.next();
        if (request.kind == PipelineRequest::Kind::kNothing) {
            ingest->has_batch = false;
            return;
        }
        bool decode = request.kind == PipelineRequest::Kind::kDecode;
        out->need = decode ? Need::kDecode : Need::kEvaluate;
        out->table = request.table;
        out->expression = request.expression;
        out->rows = request.rows->data();
        out->row_count = static_cast<int32_t>(request.rows->size());
    });
}

Status ingest_put_value(Ingest* ingest, int32_t row, int32_t column,
                        const uint64_t* cells) noexcept {
    return guard([&] {
        if (cells != nullptr) ingest->pipeline.put_value(row, column, cells);
    });
}

Status ingest_reject(Ingest* ingest, int32_t row, const char* reason) noexcept {
    return guard([&] { ingest->pipeline.reject(row, reason); });
}

Status ingest_add_row(Ingest* ingest, int32_t row, int32_t* added) noexcept {
    return guard([&] { *added = ingest->pipeline.add_row(row); });
}

Status ingest_drop_row(Ingest* ingest, int32_t row) noexcept {
    return guard([&] { ingest->pipeline.drop_row(row); });
}

FieldText ingest_field(const Ingest* ingest, int32_t row, int32_t column) noexcept {
    TextField field = ingest->pipeline.field(row, column);
    if (!field) return {nullptr, 0};
    return {field->empty() ? "" : field->data(), static_cast<int32_t>(field->size())};
}

ColumnView ingest_column(const Ingest* ingest, int32_t column) noexcept {
    return ingest->pipeline.columns()[static_cast<size_t>(column)].view();
}

RawMessage ingest_message(const Ingest* ingest, int32_t row) noexcept {
    const MessageRows& rows = ingest->pipeline.rows();
    return raw_message(*rows.batch, rows.message_at(row));
}

void ingest_set_batch_rows(Ingest* ingest, int32_t rows) noexcept {
    ingest->set_batch_rows(rows);
}

RawMessage ingest_first_message(const Ingest* ingest) noexcept {
    return raw_message(ingest->batch(), 0);
}

Status ingest_put_aside(Ingest* ingest, const char* reason) noexcept {
    return guard([&] {
        if (ingest->has_batch) ingest->put_batch_aside(reason);
    });
}

void ingest_good_rows(const Ingest* ingest, const int32_t** rows, int32_t* count) noexcept {
    *rows = ingest->pipeline.good_rows().data();
    *count = static_cast<int32_t>(ingest->pipeline.good_rows().size());
}

// ---- aggregates that PostgreSQL folds ----

Status ingest_pending_slots(Ingest* ingest, int32_t table, int32_t aggregate,
                            const uint32_t** slots, int32_t* count) noexcept {
    return guard([&] {
        ingest->pipeline.table(table)->pending_slots(aggregate, ingest->pending_slots);
        *slots = ingest->pending_slots.data();
        *count = static_cast<int32_t>(ingest->pending_slots.size());
    });
}

PendingValues ingest_pending_values(const Ingest* ingest, int32_t table, int32_t aggregate,
                                    uint32_t slot) noexcept {
    const GroupStore& store = ingest->pipeline.table(table)->store();
    Aggregate::Pending pending =
        store.aggregate(static_cast<size_t>(aggregate)).pending(store.groups().row(slot));
    return {pending.state.data(), pending.state.size(), pending.entries.data(),
            pending.entries.size()};
}

Status ingest_put_state(Ingest* ingest, int32_t table, int32_t aggregate, uint32_t slot,
                        const char* state, uint64_t size) noexcept {
    return guard([&] {
        GroupStore& store = ingest->pipeline.table(table)->store();
        store.aggregate(static_cast<size_t>(aggregate))
            .put_state(store.groups().row(slot), {state, size});
    });
}

// ---- commit ----

Status ingest_prepare_commit(Ingest* ingest, int64_t now_us) noexcept {
    return guard([&] { ingest->pipeline.prepare_commit(now_us); });
}

const TableChanges* ingest_changes(const Ingest* ingest, int32_t table) noexcept {
    const TableState* state = ingest->pipeline.table(table);
    return state == nullptr ? nullptr : &state->changes();
}

void ingest_dead_letters(const Ingest* ingest, const DeadLetter** letters,
                         int32_t* count) noexcept {
    *letters = ingest->pipeline.dead_letters().data();
    *count = static_cast<int32_t>(ingest->pipeline.dead_letters().size());
}

void ingest_positions(const Ingest* ingest, const PartitionProgress** partitions,
                      int32_t* count) noexcept {
    *partitions = ingest->pipeline.positions().data();
    *count = static_cast<int32_t>(ingest->pipeline.positions().size());
}

Status ingest_show_rows(Ingest* ingest, int32_t table, int32_t first) noexcept {
    return guard([&] { ingest->pipeline.table(table)->show_rows(first); });
}

Status ingest_next_checkpoint_row(Ingest* ingest, int32_t table,
                                  const CheckpointRow** row) noexcept {
    return guard([&] { *row = ingest->pipeline.table(table)->next_checkpoint_row(); });
}

SequenceRange ingest_take_obsolete(Ingest* ingest, int32_t table) noexcept {
    return ingest->pipeline.table(table)->take_obsolete();
}

// What the broker refuses is told anew after the next commit.
void ingest_mirror(Ingest* ingest) noexcept {
    guard([&] {
        std::vector<kafka::Start> positions;
        for (const PartitionProgress& at : ingest->pipeline.positions())
            positions.push_back({at.partition, at.next_offset});
        ingest->reader.mirror(std::move(positions));
    });
}

Status ingest_committed(Ingest* ingest) noexcept {
    return guard([&] {
        const size_t before = ingest->pipeline.memory_bytes();
        ingest->pipeline.committed();
        give_back_memory(ingest->pipeline, before);
    });
}

void ingest_close_windows(Ingest* ingest, int32_t table) noexcept {
    TableState* state = ingest->pipeline.table(table);
    if (state != nullptr) state->request_close();
}

// ---- a reader that rests ----

int64_t ingest_quiet_since_us(const Ingest* ingest) noexcept {
    return ingest->quiet_since_us();
}

int32_t ingest_rest_positions(const Ingest* ingest, RestPosition* out, int32_t room) noexcept {
    const auto& positions = ingest->pipeline.positions();
    if (positions.size() > static_cast<size_t>(room) || !ingest->reader.is_at_end()) return 0;
    int32_t count = 0;
    for (const PartitionProgress& at : positions) {
        if (!reads(*ingest, at.partition) || at.next_offset < 0) return 0;
        out[count++] = {at.partition, at.next_offset};
    }
    return count;
}

void ingest_rest(Ingest* ingest) noexcept {
    ingest->reader.rest();
}

Status ingest_wake(Ingest* ingest) noexcept {
    return guard([&] { ingest->reader.wake(); });
}

// ---- figures ----

IngestStats ingest_stats(const Ingest* ingest) noexcept {
    IngestStats stats = {};
    // Without memory for the question, the figures stay zero.
    (void)guard([&] {
        kafka::ReaderStats reader = ingest->reader.stats();
        stats = {ingest->message_count, ingest->byte_count, ingest->pipeline.dead_letter_count(),
                 reader.memory_bytes + static_cast<int64_t>(ingest->pipeline.memory_bytes()),
                 ingest->reader.lag()};
    });
    return stats;
}

Status group_size(const TableSpec& spec, GroupSize* size) noexcept {
    return guard([&] {
        const TablePlan plan(spec);
        GroupStore groups(plan.key_types(), plan.make_aggregates());
        // The index is two thirds full, or more.
        constexpr size_t kIndexBytes = sizeof(GroupIndex::Entry) * 3 / 2;
        size->bytes = static_cast<int32_t>(groups.bytes_per_group() + kIndexBytes);
        size->keeps = false;
        for (int32_t a = 0; a < spec.aggregate_count; a++) {
            size->keeps |= groups.aggregate(static_cast<size_t>(a)).owns_memory();
        }
    });
}

int64_t ingest_table_bytes(const Ingest* ingest, int32_t table) noexcept {
    const TableState* state = ingest->pipeline.table(table);
    return state == nullptr ? 0 : static_cast<int64_t>(state->memory_bytes());
}

bool ingest_log(Ingest* ingest, char* line, int32_t size, int32_t* level) noexcept {
    bool found = false;
    (void)guard([&] {
        int syslog_level = 0;
        found = ingest->reader.next_log(ingest->log_line, syslog_level);
        if (!found) return;
        std::snprintf(line, static_cast<size_t>(size), "%s", ingest->log_line.c_str());
        *level = syslog_level;
    });
    return found;
}

}  // namespace anomaly::bridge
