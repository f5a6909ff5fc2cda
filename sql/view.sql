-- Continuous tables over views and WITH queries: what is taken in, whose rights count, and what
-- becomes of the view afterwards.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS anomaly CASCADE;
CREATE EXTENSION anomaly;
CREATE SERVER view_server FOREIGN DATA WRAPPER anomaly_kafka OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE ROLE view_owner;
CREATE ROLE view_reader;
CREATE SCHEMA hidden AUTHORIZATION view_owner;
GRANT USAGE ON FOREIGN SERVER view_server TO view_owner;
GRANT CREATE ON SCHEMA public TO view_owner, view_reader;
SET ROLE view_owner;
CREATE FOREIGN TABLE hidden.view_in (host text, cpu text, usage float8, at timestamptz)
  SERVER view_server OPTIONS (topic 'none', event_time 'at');
CREATE VIEW busy AS SELECT upper(host) AS name, cpu, usage, at AS time FROM hidden.view_in WHERE usage > 10;
ALTER VIEW busy RENAME COLUMN name TO host;
CREATE VIEW very_busy (h, u, t) AS SELECT busy.host, usage, time FROM busy WHERE usage > 20;
CREATE VIEW asking WITH (security_invoker) AS SELECT host FROM hidden.view_in;
CREATE VIEW guarded WITH (security_barrier) AS SELECT host FROM hidden.view_in;
CREATE VIEW hosts AS SELECT host, count(*) AS n FROM hidden.view_in GROUP BY host;
CREATE VIEW with_query AS WITH w AS (SELECT host FROM hidden.view_in) SELECT host || '!' AS host FROM w;
CREATE VIEW numbers AS SELECT n FROM generate_series(1, 3) n;
CREATE VIEW windows AS SELECT host, window_start, window_end, usage
  FROM hidden.view_in, tumble(at, interval '1 minute');

-- the owner of the view may read the stream; who reads the view need not
SET ROLE view_reader;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM busy;
SET ROLE view_owner;
GRANT SELECT ON busy, very_busy, asking, guarded, hosts, with_query, numbers, windows TO view_reader;
SET ROLE view_reader;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM hidden.view_in;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM asking;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM guarded;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host, n FROM hosts;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT n FROM numbers;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT b FROM busy b;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT b.host FROM busy b, busy c;

CREATE TABLE over_view WITH (anomaly.continuous) AS SELECT host, cpu, usage FROM busy WHERE cpu <> 'x';
CREATE TABLE over_two WITH (anomaly.continuous) AS
SELECT v.h AS "the host", window_end, max(v.u) AS top
FROM very_busy v, tumble(v.t, interval '1 minute') GROUP BY v.h, window_end;
CREATE TABLE over_alias WITH (anomaly.continuous) AS SELECT a, b FROM busy AS x (a, b) WHERE a <> 'y';
CREATE TABLE over_with WITH (anomaly.continuous) AS SELECT host FROM with_query;
CREATE TABLE over_windows WITH (anomaly.continuous) AS
SELECT host, window_start, count(*), max(usage) FROM windows GROUP BY host, window_start;
RESET ROLE;
SELECT relid, anomaly.explain(relid) FROM anomaly.continuous_table ORDER BY relid;
SET ROLE view_reader;

-- WITH queries
CREATE TABLE chain WITH (anomaly.continuous) AS
WITH a AS (SELECT host, usage, time FROM busy WHERE usage > 30),
     b AS MATERIALIZED (SELECT host || '.' AS host, time, usage * 2 AS double FROM a),
     unused AS (SELECT 1)
SELECT s.host, window_start, avg(s.double) AS double
FROM (SELECT * FROM b WHERE host > 'm') s, tumble(s.time, interval '1 hour') GROUP BY s.host, window_start;
RESET ROLE;
SELECT anomaly.explain('chain');
SET ROLE view_reader;
CREATE TABLE t WITH (anomaly.continuous) AS
WITH a AS (SELECT host FROM busy) SELECT x.host FROM a x, a y;
CREATE TABLE t WITH (anomaly.continuous) AS
WITH RECURSIVE a AS (SELECT host FROM busy UNION ALL SELECT host FROM a) SELECT host FROM a;
CREATE TABLE t WITH (anomaly.continuous) AS
WITH a AS (SELECT host FROM busy LIMIT 5) SELECT host FROM a;

-- the definition is what the view was; the view may change and go
SET ROLE view_owner;
CREATE OR REPLACE VIEW busy AS SELECT host, cpu, usage, at AS time FROM hidden.view_in;
REVOKE SELECT ON busy FROM view_reader;
DROP VIEW busy CASCADE;
RESET ROLE;
SELECT anomaly.explain('over_view');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'over_view'::regclass;
-- but the stream is needed
SET ROLE view_owner;
DROP FOREIGN TABLE hidden.view_in;
RESET ROLE;
DROP EXTENSION anomaly CASCADE;
DROP OWNED BY view_reader, view_owner CASCADE;
DROP ROLE view_reader, view_owner;
