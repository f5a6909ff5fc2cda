-- The extension's own tables. All logged, each with a primary key, all carried by pg_dump.
-- Definitions are stored as qualified SQL text and regclass only.

CREATE TABLE anomaly.stream (
    stream regclass PRIMARY KEY,
    paused boolean NOT NULL DEFAULT false,
    unfinished_starts integer NOT NULL DEFAULT 0,
    started_at timestamptz,
    suspect_partition integer,
    suspect_offset    bigint,
    suspect_attempts  integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE anomaly.stream IS 'streams (foreign tables) that feed a continuous table, and whether they are paused';
COMMENT ON COLUMN anomaly.stream.stream IS 'the foreign table';
COMMENT ON COLUMN anomaly.stream.paused IS 'true between anomaly.pause and anomaly.resume';
COMMENT ON COLUMN anomaly.stream.unfinished_starts IS 'starts of its worker since one last got as far as a commit or the end of its topic: more than one means that something crashes it';
COMMENT ON COLUMN anomaly.stream.started_at IS 'the last start of its worker';
COMMENT ON COLUMN anomaly.stream.suspect_partition IS 'partition of the message that is looked at alone, since its batch has ended the worker; NULL: none';
COMMENT ON COLUMN anomaly.stream.suspect_offset IS 'and its offset';
COMMENT ON COLUMN anomaly.stream.suspect_attempts IS 'how often that was begun; each time but the last it ended the worker';

CREATE TABLE anomaly.continuous_table (
    relid            regclass PRIMARY KEY,
    stream           regclass NOT NULL,
    definition       text NOT NULL,
    emit             text NOT NULL CHECK (emit IN ('update', 'close')),
    allowed_lateness interval NOT NULL DEFAULT '0',
    retention        interval,
    start            text,
    settings         jsonb NOT NULL,
    views            regclass[],
    close_requested  boolean NOT NULL DEFAULT false,
    created_at       timestamptz NOT NULL DEFAULT pg_catalog.now(),
    id               bigint GENERATED ALWAYS AS IDENTITY UNIQUE
);
COMMENT ON TABLE anomaly.continuous_table IS 'continuous tables: what each is defined by';
COMMENT ON COLUMN anomaly.continuous_table.relid IS 'the continuous table';
COMMENT ON COLUMN anomaly.continuous_table.stream IS 'the stream it reads';
COMMENT ON COLUMN anomaly.continuous_table.definition IS 'its SELECT, all names qualified';
COMMENT ON COLUMN anomaly.continuous_table.emit IS 'update: rows follow the messages; close: a row appears once, when its window is final';
COMMENT ON COLUMN anomaly.continuous_table.allowed_lateness IS 'a window closes when the watermark has passed its end by this much';
COMMENT ON COLUMN anomaly.continuous_table.retention IS 'rows are removed when the watermark has passed their window''s end by this much, NULL: never';
COMMENT ON COLUMN anomaly.continuous_table.start IS 'where it began to read, NULL: as the stream''s option startup says';
COMMENT ON COLUMN anomaly.continuous_table.settings IS 'settings in force at its creation, which give its expressions their meaning';
COMMENT ON COLUMN anomaly.continuous_table.views IS 'the views through which its SELECT named the stream, the outermost first, NULL: none';
COMMENT ON COLUMN anomaly.continuous_table.close_requested IS 'true from anomaly.close_windows until the worker has closed them';
COMMENT ON COLUMN anomaly.continuous_table.created_at IS 'when it was created';
COMMENT ON COLUMN anomaly.continuous_table.id IS 'never given out again, as an oid may be: by it events know their table';

CREATE TABLE anomaly.table_progress (
    relid           regclass PRIMARY KEY,
    sequence        bigint NOT NULL DEFAULT 0,
    partitions      integer[] NOT NULL DEFAULT '{}',
    next_offsets    bigint[] NOT NULL DEFAULT '{}',
    last_offsets    bigint[] NOT NULL DEFAULT '{}',
    last_hashes     bigint[] NOT NULL DEFAULT '{}',
    max_event_times bigint[] NOT NULL DEFAULT '{}',
    watermark       timestamptz,
    messages        bigint NOT NULL DEFAULT 0,
    bytes           bigint NOT NULL DEFAULT 0,
    rows_written    bigint NOT NULL DEFAULT 0,
    late_rows       bigint NOT NULL DEFAULT 0,
    dead_letters    bigint NOT NULL DEFAULT 0,
    row_errors      bigint NOT NULL DEFAULT 0,
    last_row_error  text,
    open_windows    bigint NOT NULL DEFAULT 0,
    open_groups     bigint NOT NULL DEFAULT 0,
    failures        integer NOT NULL DEFAULT 0,
    last_error      text,
    last_error_at   timestamptz,
    committed_at    timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE anomaly.table_progress IS 'how far each continuous table is: Kafka positions and watermark, committed with its rows';
COMMENT ON COLUMN anomaly.table_progress.relid IS 'the continuous table';
COMMENT ON COLUMN anomaly.table_progress.sequence IS 'number of its last commit, as in anomaly.checkpoint';
COMMENT ON COLUMN anomaly.table_progress.partitions IS 'partitions of the topic; the arrays below go with it, element by element';
COMMENT ON COLUMN anomaly.table_progress.next_offsets IS 'first offset not yet taken in; -2: the beginning, -1: the end';
COMMENT ON COLUMN anomaly.table_progress.last_offsets IS 'offset of the last message taken in, -1: none';
COMMENT ON COLUMN anomaly.table_progress.last_hashes IS 'hash of that message, by which a topic made again is noticed';
COMMENT ON COLUMN anomaly.table_progress.max_event_times IS 'largest event time seen, microseconds since 2000-01-01 UTC; the least bigint: none';
COMMENT ON COLUMN anomaly.table_progress.watermark IS 'event time up to which the table is complete';
COMMENT ON COLUMN anomaly.table_progress.messages IS 'messages read for it so far, good and bad';
COMMENT ON COLUMN anomaly.table_progress.bytes IS 'their bytes';
COMMENT ON COLUMN anomaly.table_progress.rows_written IS 'rows inserted, updated or deleted in the table so far';
COMMENT ON COLUMN anomaly.table_progress.late_rows IS 'late rows so far';
COMMENT ON COLUMN anomaly.table_progress.dead_letters IS 'dead letters of this table alone so far';
COMMENT ON COLUMN anomaly.table_progress.row_errors IS 'how often a row could not be shown because an expression over its aggregates failed';
COMMENT ON COLUMN anomaly.table_progress.last_row_error IS 'the last such error';
COMMENT ON COLUMN anomaly.table_progress.open_windows IS 'windows not yet closed';
COMMENT ON COLUMN anomaly.table_progress.open_groups IS 'groups in them';
COMMENT ON COLUMN anomaly.table_progress.failures IS 'failed commits in a row';
COMMENT ON COLUMN anomaly.table_progress.last_error IS 'the last error that froze the table';
COMMENT ON COLUMN anomaly.table_progress.last_error_at IS 'and when';
COMMENT ON COLUMN anomaly.table_progress.committed_at IS 'time of the last commit';

CREATE TABLE anomaly.checkpoint (
    relid    regclass NOT NULL,
    kind     smallint NOT NULL,
    shard    integer NOT NULL,
    sequence bigint NOT NULL,
    part     integer NOT NULL,
    data     bytea NOT NULL,
    PRIMARY KEY (relid, kind, shard, sequence, part)
);
ALTER TABLE anomaly.checkpoint ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE anomaly.checkpoint SET (toast_tuple_target = 8160);
COMMENT ON TABLE anomaly.checkpoint IS 'state of the open windows: a log of changes and rolling snapshots';
COMMENT ON COLUMN anomaly.checkpoint.relid IS 'the continuous table';
COMMENT ON COLUMN anomaly.checkpoint.kind IS '1: groups changed by one commit; 2: all groups of one hash shard';
COMMENT ON COLUMN anomaly.checkpoint.shard IS 'the hash shard of a snapshot, 0 for changes';
COMMENT ON COLUMN anomaly.checkpoint.sequence IS 'number of the commit';
COMMENT ON COLUMN anomaly.checkpoint.part IS 'rows are at most 8000 bytes; larger ones are in parts 0, 1, 2 ...';
COMMENT ON COLUMN anomaly.checkpoint.data IS 'versioned, checksummed binary';

CREATE TABLE anomaly.late_row (
    relid            regclass NOT NULL,
    stream           regclass NOT NULL,
    topic            text NOT NULL,
    kafka_partition  integer NOT NULL,
    kafka_offset     bigint NOT NULL,
    kafka_timestamp  timestamptz,
    window_start     timestamptz NOT NULL,
    window_end       timestamptz NOT NULL,
    message          bytea,
    recorded_at      timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (relid, kafka_partition, kafka_offset, window_start)
);
COMMENT ON TABLE anomaly.late_row IS 'messages that came after their window was closed: one row for each window missed';
COMMENT ON COLUMN anomaly.late_row.relid IS 'the continuous table they were late for';
COMMENT ON COLUMN anomaly.late_row.stream IS 'the stream';
COMMENT ON COLUMN anomaly.late_row.topic IS 'Kafka topic';
COMMENT ON COLUMN anomaly.late_row.kafka_partition IS 'Kafka partition';
COMMENT ON COLUMN anomaly.late_row.kafka_offset IS 'Kafka offset';
COMMENT ON COLUMN anomaly.late_row.kafka_timestamp IS 'Kafka''s timestamp of the message';
COMMENT ON COLUMN anomaly.late_row.window_start IS 'start of the window missed';
COMMENT ON COLUMN anomaly.late_row.window_end IS 'end of the window missed';
COMMENT ON COLUMN anomaly.late_row.message IS 'the message as it came, NULL for a null message';
COMMENT ON COLUMN anomaly.late_row.recorded_at IS 'when it was recorded';

CREATE TABLE anomaly.dead_letter (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream           regclass NOT NULL,
    relid            regclass,
    topic            text NOT NULL,
    kafka_partition  integer NOT NULL,
    kafka_offset     bigint NOT NULL,
    kafka_timestamp  timestamptz,
    reason           text NOT NULL,
    message          bytea,
    message_key      bytea,
    missed_by        regclass[] NOT NULL,
    replay_for       regclass[] NOT NULL DEFAULT '{}',
    recorded_at      timestamptz NOT NULL DEFAULT pg_catalog.now()
);
CREATE INDEX dead_letter_age ON anomaly.dead_letter (stream, id);
CREATE UNIQUE INDEX dead_letter_message ON anomaly.dead_letter
    (stream, relid, kafka_partition, kafka_offset) NULLS NOT DISTINCT;
COMMENT ON TABLE anomaly.dead_letter IS 'messages that could not be taken in, with the reason';
COMMENT ON COLUMN anomaly.dead_letter.id IS 'number of the row';
COMMENT ON COLUMN anomaly.dead_letter.stream IS 'the stream';
COMMENT ON COLUMN anomaly.dead_letter.relid IS 'the continuous table that alone cannot take it; NULL: no table of the stream can';
COMMENT ON COLUMN anomaly.dead_letter.topic IS 'Kafka topic';
COMMENT ON COLUMN anomaly.dead_letter.kafka_partition IS 'Kafka partition';
COMMENT ON COLUMN anomaly.dead_letter.kafka_offset IS 'Kafka offset';
COMMENT ON COLUMN anomaly.dead_letter.kafka_timestamp IS 'Kafka''s timestamp of the message';
COMMENT ON COLUMN anomaly.dead_letter.reason IS 'why, in words';
COMMENT ON COLUMN anomaly.dead_letter.message IS 'the message as it came, NULL for a null message';
COMMENT ON COLUMN anomaly.dead_letter.message_key IS 'its key as it came, NULL for none';
COMMENT ON COLUMN anomaly.dead_letter.missed_by IS 'the continuous tables that have passed it without taking it in';
COMMENT ON COLUMN anomaly.dead_letter.replay_for IS 'those of them that are to try it again since anomaly.replay_dead_letters was called';
COMMENT ON COLUMN anomaly.dead_letter.recorded_at IS 'when it was recorded';

CREATE TABLE anomaly.dead_letter_count (
    stream  regclass PRIMARY KEY,
    letters bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE anomaly.dead_letter_count IS 'rows written to anomaly.dead_letter so far, whether they are still kept or not';
COMMENT ON COLUMN anomaly.dead_letter_count.stream IS 'the stream';
COMMENT ON COLUMN anomaly.dead_letter_count.letters IS 'how many';

CREATE TABLE anomaly.replay_request (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream       regclass NOT NULL,
    reason       text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE anomaly.replay_request IS 'calls of anomaly.replay_dead_letters that the worker has not taken up yet';
COMMENT ON COLUMN anomaly.replay_request.id IS 'number of the row';
COMMENT ON COLUMN anomaly.replay_request.stream IS 'the stream';
COMMENT ON COLUMN anomaly.replay_request.reason IS 'which letters: those whose reason is like this pattern';
COMMENT ON COLUMN anomaly.replay_request.requested_at IS 'when it was called';
COMMENT ON SEQUENCE anomaly.replay_request_id_seq IS 'numbers of anomaly.replay_request';

CREATE TABLE anomaly.lost_range (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream           regclass NOT NULL,
    relid            regclass NOT NULL,
    topic            text NOT NULL,
    kafka_partition  integer NOT NULL,
    from_offset      bigint NOT NULL,
    to_offset        bigint NOT NULL,
    reason           text NOT NULL,
    recorded_at      timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE anomaly.lost_range IS 'offsets that were gone before a continuous table could read them';
COMMENT ON COLUMN anomaly.lost_range.id IS 'number of the row';
COMMENT ON COLUMN anomaly.lost_range.stream IS 'the stream';
COMMENT ON COLUMN anomaly.lost_range.relid IS 'the continuous table that missed them';
COMMENT ON COLUMN anomaly.lost_range.topic IS 'Kafka topic';
COMMENT ON COLUMN anomaly.lost_range.kafka_partition IS 'Kafka partition';
COMMENT ON COLUMN anomaly.lost_range.from_offset IS 'first offset that was gone';
COMMENT ON COLUMN anomaly.lost_range.to_offset IS 'first offset after the gap';
COMMENT ON COLUMN anomaly.lost_range.reason IS 'what was seen';
COMMENT ON COLUMN anomaly.lost_range.recorded_at IS 'when it was recorded';

COMMENT ON SEQUENCE anomaly.continuous_table_id_seq IS 'numbers of anomaly.continuous_table';
COMMENT ON SEQUENCE anomaly.dead_letter_id_seq IS 'numbers of anomaly.dead_letter';
COMMENT ON SEQUENCE anomaly.lost_range_id_seq IS 'numbers of anomaly.lost_range';

-- One statement each: all change the same row of pg_extension.
SELECT pg_catalog.pg_extension_config_dump('anomaly.stream', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.continuous_table', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.table_progress', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.checkpoint', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.late_row', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.dead_letter', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.dead_letter_count', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.replay_request', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.replay_request_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.lost_range', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.continuous_table_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.dead_letter_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.lost_range_id_seq', '');
