-- The event log: an append-only sequence that consumers follow without missing anything.

CREATE TABLE anomaly.event_head (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq               bigint NOT NULL,
    removed_seq       bigint NOT NULL DEFAULT 0,
    system_identifier bigint NOT NULL,
    timeline          integer NOT NULL
);
COMMENT ON TABLE anomaly.event_head IS 'the last number given out in anomaly.alert_event; its row lock makes commits follow the numbers';
COMMENT ON COLUMN anomaly.event_head.only_row IS 'there is one row';
COMMENT ON COLUMN anomaly.event_head.seq IS 'the last number given out';
COMMENT ON COLUMN anomaly.event_head.removed_seq IS 'events up to here were removed, as the setting anomaly.event_retention says';
COMMENT ON COLUMN anomaly.event_head.system_identifier IS 'the cluster that gave it out';
COMMENT ON COLUMN anomaly.event_head.timeline IS 'and its timeline; on another one (after a promotion) numbers jump ahead, past all that the old primary may have given out';

CREATE TABLE anomaly.alert_event (
    seq         bigint PRIMARY KEY,
    kind        text NOT NULL,
    id          uuid NOT NULL,
    finding     uuid,
    table_id    bigint,
    rule        text,
    table_name  text,
    message     text,
    recorded_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE anomaly.alert_event IS 'append-only log of what happened; who has seen seq N will never find a new row at or below N';
COMMENT ON COLUMN anomaly.alert_event.seq IS 'position in the log';
COMMENT ON COLUMN anomaly.alert_event.kind IS 'finding: a rule found something; finding_ended: what a rule on update had found holds no more; rule_failing: a rule fails again and again, or is disabled for what it did; rule_running: it has done well again';
COMMENT ON COLUMN anomaly.alert_event.id IS 'derived from what happened: a repeat has the same; the first event of a finding has the finding''s';
COMMENT ON COLUMN anomaly.alert_event.finding IS 'what was found, or has ended, in anomaly.finding_log; rule, table_name and message are NULL then';
COMMENT ON COLUMN anomaly.alert_event.table_id IS 'the continuous table, as anomaly.continuous_table.id: who may read that may read the event';
COMMENT ON COLUMN anomaly.alert_event.rule IS 'the rule that it is about';
COMMENT ON COLUMN anomaly.alert_event.table_name IS 'the continuous table, as it was called then';
COMMENT ON COLUMN anomaly.alert_event.message IS 'a sentence for people';
COMMENT ON COLUMN anomaly.alert_event.recorded_at IS 'when it was recorded';

CREATE FUNCTION anomaly.events_since(
    seq bigint, max_events integer DEFAULT 1000,
    OUT seq bigint, OUT kind text, OUT id uuid, OUT finding uuid, OUT rule text, OUT table_name text, OUT series jsonb,
    OUT window_start timestamptz, OUT window_end timestamptz, OUT severity text,
    OUT value double precision, OUT threshold double precision, OUT message text,
    OUT recorded_at timestamptz)
RETURNS SETOF record
LANGUAGE c CALLED ON NULL INPUT STABLE AS 'MODULE_PATHNAME', 'anomaly_events_since';
COMMENT ON FUNCTION anomaly.events_since(bigint, integer) IS 'events after position seq that the caller may read, oldest first, at most max_events; keep the last seq and ask again after NOTIFY anomaly; an error (ZA001) where events after the position were removed';
REVOKE ALL ON FUNCTION anomaly.events_since(bigint, integer) FROM PUBLIC;

CREATE TABLE anomaly.consumer (
    name       text PRIMARY KEY CHECK (name <> ''),
    owner      regrole NOT NULL,
    seq        bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    acked_at   timestamptz
);
COMMENT ON TABLE anomaly.consumer IS 'consumers of the event log whose position is kept here';
COMMENT ON COLUMN anomaly.consumer.name IS 'its name';
COMMENT ON COLUMN anomaly.consumer.owner IS 'who made it: the role whose members may use it';
COMMENT ON COLUMN anomaly.consumer.seq IS 'the last event that it has done with';
COMMENT ON COLUMN anomaly.consumer.created_at IS 'when it was made';
COMMENT ON COLUMN anomaly.consumer.acked_at IS 'when it last said so';

CREATE FUNCTION anomaly.create_consumer(name text, start text DEFAULT 'latest') RETURNS bigint
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'anomaly_create_consumer';
COMMENT ON FUNCTION anomaly.create_consumer(text, text) IS 'makes a consumer and returns its position; start is latest (what happens from now on), earliest (all that is kept) or a position';
REVOKE ALL ON FUNCTION anomaly.create_consumer(text, text) FROM PUBLIC;

CREATE FUNCTION anomaly.drop_consumer(name text) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'anomaly_drop_consumer';
COMMENT ON FUNCTION anomaly.drop_consumer(text) IS 'forgets a consumer and its position';
REVOKE ALL ON FUNCTION anomaly.drop_consumer(text) FROM PUBLIC;

CREATE FUNCTION anomaly.consumer_events(
    name text, max_events integer DEFAULT 1000,
    OUT seq bigint, OUT kind text, OUT id uuid, OUT finding uuid, OUT rule text, OUT table_name text, OUT series jsonb,
    OUT window_start timestamptz, OUT window_end timestamptz, OUT severity text,
    OUT value double precision, OUT threshold double precision, OUT message text,
    OUT recorded_at timestamptz)
RETURNS SETOF record
LANGUAGE c CALLED ON NULL INPUT VOLATILE AS 'MODULE_PATHNAME', 'anomaly_consumer_events';
COMMENT ON FUNCTION anomaly.consumer_events(text, integer) IS 'events after the position of a consumer, as anomaly.events_since; the consumer is locked until the end of the transaction, and its position stays until anomaly.consumer_ack';
REVOKE ALL ON FUNCTION anomaly.consumer_events(text, integer) FROM PUBLIC;

CREATE FUNCTION anomaly.consumer_ack(name text, seq bigint) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'anomaly_consumer_ack';
COMMENT ON FUNCTION anomaly.consumer_ack(text, bigint) IS 'the consumer has done with all events up to seq; never moves it back';
REVOKE ALL ON FUNCTION anomaly.consumer_ack(text, bigint) FROM PUBLIC;

CREATE VIEW anomaly.consumer_status WITH (security_barrier) AS
SELECT c.name,
       c.owner,
       c.seq,
       (SELECT count(*) FROM anomaly.alert_event e WHERE e.seq > c.seq) AS events_ahead,
       c.seq < coalesce(h.removed_seq, 0) AS missed_events,
       c.created_at,
       c.acked_at
FROM anomaly.consumer c LEFT JOIN anomaly.event_head h ON true
WHERE pg_catalog.pg_has_role(c.owner, 'USAGE');
COMMENT ON VIEW anomaly.consumer_status IS 'one row a consumer: how far it is';
COMMENT ON COLUMN anomaly.consumer_status.name IS 'its name';
COMMENT ON COLUMN anomaly.consumer_status.owner IS 'who made it: the role whose members may use it';
COMMENT ON COLUMN anomaly.consumer_status.seq IS 'the last event that it has done with';
COMMENT ON COLUMN anomaly.consumer_status.events_ahead IS 'events after that, also those it may not read';
COMMENT ON COLUMN anomaly.consumer_status.missed_events IS 'true: events that it had not done with were removed';
COMMENT ON COLUMN anomaly.consumer_status.created_at IS 'when it was made';
COMMENT ON COLUMN anomaly.consumer_status.acked_at IS 'when it last said so';

-- One statement each: all change the same row of pg_extension.
SELECT pg_catalog.pg_extension_config_dump('anomaly.event_head', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.alert_event', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.consumer', '');
