-- Continuous tables: the guard and the functions that steer them.

CREATE FUNCTION anomaly.guard() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'anomaly_guard';
COMMENT ON FUNCTION anomaly.guard() IS 'trigger function that lets only the stream''s worker write a continuous table';
REVOKE ALL ON FUNCTION anomaly.guard() FROM PUBLIC;

CREATE FUNCTION anomaly.close_windows(relid regclass) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'anomaly_close_windows';
COMMENT ON FUNCTION anomaly.close_windows(regclass) IS 'closes all open windows of a continuous table at once: the end of a replay; the worker does it with its next commit';
REVOKE ALL ON FUNCTION anomaly.close_windows(regclass) FROM PUBLIC;

CREATE FUNCTION anomaly.replay_dead_letters(stream regclass, reason text DEFAULT '%') RETURNS bigint
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'anomaly_replay_dead_letters';
COMMENT ON FUNCTION anomaly.replay_dead_letters(regclass, text) IS 'has the worker decode a stream''s dead letters again (those whose reason is like a pattern); what now fits is taken in, exactly once; returns how many are tried';
REVOKE ALL ON FUNCTION anomaly.replay_dead_letters(regclass, text) FROM PUBLIC;

CREATE FUNCTION anomaly.wait_for_stream(stream regclass, time_limit interval DEFAULT '30 seconds') RETURNS boolean
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'anomaly_wait_for_stream';
COMMENT ON FUNCTION anomaly.wait_for_stream(regclass, interval) IS 'true once all continuous tables of the stream have committed everything that was in the topic at the call, false at the time limit';
REVOKE ALL ON FUNCTION anomaly.wait_for_stream(regclass, interval) FROM PUBLIC;

CREATE FUNCTION anomaly.explain(relid regclass) RETURNS text
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'anomaly_explain';
COMMENT ON FUNCTION anomaly.explain(regclass) IS 'which parts of a continuous table run natively and which PostgreSQL evaluates: same answer, other speed';
REVOKE ALL ON FUNCTION anomaly.explain(regclass) FROM PUBLIC;
