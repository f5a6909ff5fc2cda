-- The event log: an append-only sequence that consumers follow without missing anything.

CREATE TABLE anomaly.event_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq      bigint NOT NULL
);
COMMENT ON TABLE anomaly.event_head IS 'the last number given out in anomaly.alert_event; its row lock makes commits follow the numbers';
COMMENT ON COLUMN anomaly.event_head.only_row IS 'there is one row';
COMMENT ON COLUMN anomaly.event_head.seq IS 'the last number given out';

CREATE TABLE anomaly.alert_event (
    seq         bigint PRIMARY KEY,
    kind        text NOT NULL,
    finding     uuid REFERENCES anomaly.finding_log,
    id          uuid,
    rule        text,
    table_name  text,
    message     text,
    recorded_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE anomaly.alert_event IS 'append-only log of what happened; who has seen seq N will never find a new row at or below N';
COMMENT ON COLUMN anomaly.alert_event.seq IS 'position in the log';
COMMENT ON COLUMN anomaly.alert_event.kind IS 'finding: a rule found something; rule_failing: a rule fails again and again';
COMMENT ON COLUMN anomaly.alert_event.finding IS 'what was found; the columns up to message are NULL then';
COMMENT ON COLUMN anomaly.alert_event.id IS 'derived from what happened: a repeat has the same';
COMMENT ON COLUMN anomaly.alert_event.rule IS 'the rule that it is about';
COMMENT ON COLUMN anomaly.alert_event.table_name IS 'the continuous table, as it was called then';
COMMENT ON COLUMN anomaly.alert_event.message IS 'a sentence for people';
COMMENT ON COLUMN anomaly.alert_event.recorded_at IS 'when it was recorded';

CREATE FUNCTION anomaly.events_since(
    seq bigint, max_events integer DEFAULT 1000,
    OUT seq bigint, OUT kind text, OUT id uuid, OUT rule text, OUT table_name text, OUT series jsonb,
    OUT window_start timestamptz, OUT window_end timestamptz, OUT severity text,
    OUT value double precision, OUT threshold double precision, OUT message text,
    OUT recorded_at timestamptz)
RETURNS SETOF record LANGUAGE sql STABLE AS $$
    SELECT e.seq, e.kind, coalesce(e.finding, e.id), coalesce(f.rule, e.rule),
           coalesce(f.table_name, e.table_name), f.series, f.window_start, f.window_end,
           f.severity, f.value, f.threshold, coalesce(f.message, e.message), e.recorded_at
    FROM anomaly.alert_event e LEFT JOIN anomaly.finding_log f ON f.id = e.finding
    WHERE e.seq > $1 ORDER BY e.seq LIMIT $2
$$;
COMMENT ON FUNCTION anomaly.events_since(bigint, integer) IS 'events after position seq, oldest first, at most max_events; keep the last seq and ask again after NOTIFY anomaly';
REVOKE ALL ON FUNCTION anomaly.events_since(bigint, integer) FROM PUBLIC;

-- One statement each: both change the same row of pg_extension.
SELECT pg_catalog.pg_extension_config_dump('anomaly.event_head', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.alert_event', '');
