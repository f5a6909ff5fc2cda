-- Looking at streams and continuous tables, and steering them. A view shows only rows whose table
-- the caller owns or may SELECT; the functions check the same, or ownership.

CREATE FUNCTION anomaly.pause(stream regclass) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'anomaly_pause';
COMMENT ON FUNCTION anomaly.pause(regclass) IS 'stops a stream, durably, from the commit on; nothing is lost';
REVOKE ALL ON FUNCTION anomaly.pause(regclass) FROM PUBLIC;

CREATE FUNCTION anomaly.resume(stream regclass) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'anomaly_resume';
COMMENT ON FUNCTION anomaly.resume(regclass) IS 'lets a paused stream go on from where it stopped';
REVOKE ALL ON FUNCTION anomaly.resume(regclass) FROM PUBLIC;

CREATE FUNCTION anomaly.resume() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'anomaly_resume_copy';
COMMENT ON FUNCTION anomaly.resume() IS 'lets the streams of a restored, copied or upgraded database run here';
REVOKE ALL ON FUNCTION anomaly.resume() FROM PUBLIC;

CREATE FUNCTION anomaly.watermark(relid regclass) RETURNS timestamptz
LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'anomaly_watermark';
COMMENT ON FUNCTION anomaly.watermark(regclass) IS 'event time up to which a continuous table is complete; NULL: no message yet';
REVOKE ALL ON FUNCTION anomaly.watermark(regclass) FROM PUBLIC;

CREATE FUNCTION anomaly.stream_workers(
    OUT stream oid, OUT state text, OUT worker_pid integer, OUT started_at timestamptz,
    OUT messages bigint, OUT bytes bigint, OUT message_rate double precision, OUT lag bigint,
    OUT dead_letters bigint, OUT readers integer, OUT memory_bytes bigint, OUT last_error text,
    OUT last_error_at timestamptz) RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'anomaly_stream_workers';
COMMENT ON FUNCTION anomaly.stream_workers() IS 'internal: the stream workers of this database, as shared memory has them';
REVOKE ALL ON FUNCTION anomaly.stream_workers() FROM PUBLIC;

CREATE FUNCTION anomaly.lock_waits(
    OUT relid oid, OUT since timestamptz, OUT blocked_by integer[]) RETURNS SETOF record
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'anomaly_lock_waits';
COMMENT ON FUNCTION anomaly.lock_waits() IS 'internal: continuous tables of this database that wait for a lock, as shared memory has them';
REVOKE ALL ON FUNCTION anomaly.lock_waits() FROM PUBLIC;

CREATE FUNCTION anomaly.database_is_paused() RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'anomaly_database_is_paused';
COMMENT ON FUNCTION anomaly.database_is_paused() IS 'internal: true under the setting anomaly.paused, or while a copied database waits for anomaly.resume()';
REVOKE ALL ON FUNCTION anomaly.database_is_paused() FROM PUBLIC;

CREATE VIEW anomaly.stream_status WITH (security_barrier) AS
SELECT s.stream,
       CASE WHEN s.paused OR d.paused THEN 'paused'
            WHEN w.state = 'running' AND t.all_wait THEN 'waiting for a lock'
            WHEN t.tables = 0 THEN 'idle'
            ELSE coalesce(w.state, 'starting') END AS state,
       w.worker_pid,
       w.started_at,
       t.messages,
       t.bytes,
       coalesce(w.message_rate, 0) AS message_rate,
       w.lag,
       t.late_rows,
       coalesce((SELECT n.letters FROM anomaly.dead_letter_count n WHERE n.stream = s.stream), 0) AS dead_letters,
       (SELECT count(*) FROM anomaly.dead_letter l WHERE l.stream = s.stream) AS dead_letters_kept,
       coalesce(w.last_error, t.last_error) AS last_error,
       coalesce(w.last_error_at, t.last_error_at) AS last_error_at,
       coalesce(w.memory_bytes, 0) AS memory_bytes
FROM anomaly.stream s
JOIN pg_catalog.pg_class c ON c.oid = s.stream
CROSS JOIN (SELECT anomaly.database_is_paused() AS paused) d
LEFT JOIN anomaly.stream_workers() w ON w.stream = s.stream
CROSS JOIN LATERAL (
    SELECT coalesce(max(p.messages), 0) AS messages,
           coalesce(max(p.bytes), 0) AS bytes,
           coalesce(sum(p.late_rows), 0)::bigint AS late_rows,
           (array_agg(p.last_error ORDER BY p.last_error_at DESC) FILTER (WHERE p.failures > 0))[1] AS last_error,
           max(p.last_error_at) FILTER (WHERE p.failures > 0) AS last_error_at,
           bool_and(l.relid IS NOT NULL) AS all_wait,
           count(*) AS tables
    FROM anomaly.continuous_table k JOIN anomaly.table_progress p USING (relid)
    LEFT JOIN anomaly.lock_waits() l ON l.relid = k.relid
    WHERE k.stream = s.stream) t
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE') OR pg_catalog.has_table_privilege(c.oid, 'SELECT');
COMMENT ON VIEW anomaly.stream_status IS 'one row a stream: what its worker is doing';
COMMENT ON COLUMN anomaly.stream_status.stream IS 'the foreign table';
COMMENT ON COLUMN anomaly.stream_status.state IS 'starting, running, idle (no continuous table reads it), paused, failing, unreachable (the broker), waiting for a lock (the worker, or all tables)';
COMMENT ON COLUMN anomaly.stream_status.worker_pid IS 'process of its worker, NULL: none now';
COMMENT ON COLUMN anomaly.stream_status.started_at IS 'when that worker started';
COMMENT ON COLUMN anomaly.stream_status.messages IS 'messages read so far, good and bad, by the table that has read most';
COMMENT ON COLUMN anomaly.stream_status.bytes IS 'their size in bytes';
COMMENT ON COLUMN anomaly.stream_status.message_rate IS 'messages a second over the last seconds';
COMMENT ON COLUMN anomaly.stream_status.lag IS 'messages known to lie ahead in all partitions, NULL: not known';
COMMENT ON COLUMN anomaly.stream_status.late_rows IS 'late rows of all its continuous tables so far';
COMMENT ON COLUMN anomaly.stream_status.dead_letters IS 'dead letters so far, of the stream and of its tables alone';
COMMENT ON COLUMN anomaly.stream_status.dead_letters_kept IS 'its rows in anomaly.dead_letter: not those over anomaly.dead_letter_limit, nor those taken in again';
COMMENT ON COLUMN anomaly.stream_status.last_error IS 'the last error of the worker, or of a table that is failing';
COMMENT ON COLUMN anomaly.stream_status.last_error_at IS 'and when';
COMMENT ON COLUMN anomaly.stream_status.memory_bytes IS 'memory of buffers and state in the worker';

CREATE VIEW anomaly.table_status WITH (security_barrier) AS
SELECT k.relid,
       k.stream,
       CASE WHEN s.paused OR d.paused THEN 'paused'
            WHEN l.relid IS NOT NULL THEN 'waiting for a lock'
            WHEN p.failures > 0 THEN 'failing'
            ELSE coalesce(w.state, 'starting') END AS state,
       l.since AS waiting_since,
       CASE WHEN w.state = 'waiting for a lock' THEN pg_catalog.pg_blocking_pids(w.worker_pid)
            ELSE l.blocked_by END AS blocked_by,
       k.emit,
       (SELECT pg_catalog.jsonb_object_agg(u.partition, u.next_offset)
        FROM unnest(p.partitions, p.next_offsets) u (partition, next_offset)) AS positions,
       p.open_windows,
       p.open_groups,
       p.watermark,
       p.rows_written,
       p.late_rows,
       p.dead_letters,
       p.row_errors,
       p.last_row_error,
       p.committed_at,
       p.last_error,
       p.last_error_at
FROM anomaly.continuous_table k
JOIN pg_catalog.pg_class c ON c.oid = k.relid
CROSS JOIN (SELECT anomaly.database_is_paused() AS paused) d
LEFT JOIN anomaly.stream s ON s.stream = k.stream
LEFT JOIN anomaly.table_progress p ON p.relid = k.relid
LEFT JOIN anomaly.stream_workers() w ON w.stream = k.stream
LEFT JOIN anomaly.lock_waits() l ON l.relid = k.relid
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE') OR pg_catalog.has_table_privilege(c.oid, 'SELECT');
COMMENT ON VIEW anomaly.table_status IS 'one row a continuous table: how far it is';
COMMENT ON COLUMN anomaly.table_status.relid IS 'the continuous table';
COMMENT ON COLUMN anomaly.table_status.stream IS 'the stream it reads';
COMMENT ON COLUMN anomaly.table_status.state IS 'as its stream''s; failing, waiting for a lock: this table alone has stopped';
COMMENT ON COLUMN anomaly.table_status.waiting_since IS 'since when this table alone waits for a lock';
COMMENT ON COLUMN anomaly.table_status.blocked_by IS 'processes that have the lock it waits for, some of them';
COMMENT ON COLUMN anomaly.table_status.emit IS 'update or close';
COMMENT ON COLUMN anomaly.table_status.positions IS 'for each partition the first offset not yet taken in; -2: the beginning, -1: the end';
COMMENT ON COLUMN anomaly.table_status.open_windows IS 'windows not yet closed, at the last commit';
COMMENT ON COLUMN anomaly.table_status.open_groups IS 'groups in them';
COMMENT ON COLUMN anomaly.table_status.watermark IS 'event time up to which the table is complete';
COMMENT ON COLUMN anomaly.table_status.rows_written IS 'rows inserted, updated or deleted in the table so far';
COMMENT ON COLUMN anomaly.table_status.late_rows IS 'late rows so far';
COMMENT ON COLUMN anomaly.table_status.dead_letters IS 'messages so far that this table alone could not take';
COMMENT ON COLUMN anomaly.table_status.row_errors IS 'how often a row could not be shown because an aggregate, or an expression over aggregates, failed, or its key was too long';
COMMENT ON COLUMN anomaly.table_status.last_row_error IS 'the last such error';
COMMENT ON COLUMN anomaly.table_status.committed_at IS 'time of the last commit';
COMMENT ON COLUMN anomaly.table_status.last_error IS 'the last error that stopped the table';
COMMENT ON COLUMN anomaly.table_status.last_error_at IS 'and when';

CREATE VIEW anomaly.rule_status WITH (security_barrier) AS
SELECT r.name,
       r.relid,
       r.function,
       r.evaluate,
       r.enabled,
       CASE WHEN NOT r.enabled THEN 'disabled'
            WHEN r.paused_until > pg_catalog.clock_timestamp() THEN 'backing off'
            WHEN r.failures > 0 THEN 'failing'
            ELSE 'running' END AS state,
       r.evaluations,
       r.findings,
       r.dropped,
       r.errors,
       r.failures,
       r.paused_until,
       r.last_error,
       r.last_error_at,
       r.total_time / nullif(r.evaluations, 0) AS mean_time
FROM anomaly.rule r
JOIN pg_catalog.pg_class c ON c.oid = r.relid
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE') OR pg_catalog.has_table_privilege(c.oid, 'SELECT');
COMMENT ON VIEW anomaly.rule_status IS 'one row a rule: how it is';
COMMENT ON COLUMN anomaly.rule_status.name IS 'the rule';
COMMENT ON COLUMN anomaly.rule_status.relid IS 'the continuous table that it looks at';
COMMENT ON COLUMN anomaly.rule_status.function IS 'its function';
COMMENT ON COLUMN anomaly.rule_status.evaluate IS 'close or update';
COMMENT ON COLUMN anomaly.rule_status.enabled IS 'false after anomaly.disable_rule, or when it would not be cancelled';
COMMENT ON COLUMN anomaly.rule_status.state IS 'running, failing (the last evaluation did), backing off (not evaluated before paused_until), disabled';
COMMENT ON COLUMN anomaly.rule_status.evaluations IS 'commits it was evaluated in so far; of the last seconds only where it found something';
COMMENT ON COLUMN anomaly.rule_status.findings IS 'findings so far';
COMMENT ON COLUMN anomaly.rule_status.dropped IS 'findings beyond the 10,000 of one commit, which were not written';
COMMENT ON COLUMN anomaly.rule_status.errors IS 'evaluations that failed so far';
COMMENT ON COLUMN anomaly.rule_status.failures IS 'evaluations that failed in a row, the last one included';
COMMENT ON COLUMN anomaly.rule_status.paused_until IS 'after repeated failure: it is not evaluated before this time';
COMMENT ON COLUMN anomaly.rule_status.last_error IS 'the last error';
COMMENT ON COLUMN anomaly.rule_status.last_error_at IS 'and when';
COMMENT ON COLUMN anomaly.rule_status.mean_time IS 'mean time of an evaluation';
