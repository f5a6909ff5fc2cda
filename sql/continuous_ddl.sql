-- CREATE TABLE ... WITH (anomaly.*) and what may be done with a continuous table afterwards. Nobody
-- listens where the broker should be: no statement waits for it.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS anomaly CASCADE;
CREATE EXTENSION anomaly;
CREATE SERVER ddl_server FOREIGN DATA WRAPPER anomaly_kafka OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE FOREIGN TABLE ddl_in (
  host  text NOT NULL,
  cpu   text,
  usage double precision,
  load  numeric,
  tags  jsonb,
  at    timestamptz,
  seen  timestamptz
) SERVER ddl_server OPTIONS (topic 'none', format 'json', event_time 'at');
CREATE FOREIGN TABLE ddl_other (host text, at timestamptz)
  SERVER ddl_server OPTIONS (topic 'other', format 'json', event_time 'at');
CREATE TABLE ddl_plain (host text, at timestamptz);

-- options
CREATE TABLE t WITH (anomaly.continous) AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous, anomaly.retention = '1 day') AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.emit = close) AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous = false) AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous = perhaps) AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous, anomaly.emit = sometimes) AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous, anomaly.emit = close) AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous, anomaly.emit = close) AS
  SELECT host, count(*) FROM ddl_in GROUP BY host;
CREATE TABLE t WITH (anomaly.continuous, anomaly.allowed_lateness = '-1 s') AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous, anomaly.allowed_lateness = '1 month') AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous, anomaly.allowed_lateness = 'long') AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous, anomaly.start = 'yesterday') AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous, fillfactr = 50) AS SELECT host FROM ddl_in;
CREATE TABLE t (anomaly int) WITH (anomaly.continuous);

-- kinds of tables and statements
CREATE TEMP TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
CREATE TEMP TABLE t WITH (anomaly.continuous) ON COMMIT DROP AS SELECT host FROM ddl_in;
CREATE UNLOGGED TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
CREATE MATERIALIZED VIEW t WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
PREPARE q AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous) AS EXECUTE q;
DEALLOCATE q;
EXPLAIN CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
EXPLAIN ANALYZE CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous) AS VALUES (1);
CREATE TABLE t WITH (anomaly.continuous) AS TABLE ddl_plain;
CREATE TABLE t (a, b) WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
CREATE TABLE t (a, a) WITH (anomaly.continuous) AS SELECT host, cpu FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT FROM ddl_in;

-- clauses
CREATE TABLE t WITH (anomaly.continuous) AS SELECT 1 AS one;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_plain;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT i.host FROM ddl_in i, ddl_plain p;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT i.host FROM ddl_in i JOIN ddl_plain p USING (host);
CREATE TABLE t WITH (anomaly.continuous) AS SELECT i.host FROM ddl_in i LEFT JOIN ddl_plain p USING (host);
CREATE TABLE t WITH (anomaly.continuous) AS SELECT i.host FROM ddl_in i, ddl_other o;
CREATE FOREIGN TABLE ddl_heir () INHERITS (ddl_other) SERVER ddl_server OPTIONS (topic 'heir');
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_other;
BEGIN;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT o.host FROM ONLY ddl_other o;
SELECT definition FROM anomaly.continuous_table;
ROLLBACK;
DROP FOREIGN TABLE ddl_heir;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM (SELECT host FROM ddl_in LIMIT 5) s;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in WHERE host IN (SELECT host FROM ddl_plain);
CREATE TABLE t WITH (anomaly.continuous) AS SELECT (SELECT 1) AS one FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous) AS WITH RECURSIVE s AS (SELECT host FROM ddl_in UNION SELECT host FROM s) SELECT host FROM s;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT DISTINCT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT DISTINCT ON (host) host, cpu FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in ORDER BY host;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in LIMIT 5;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in OFFSET 5;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in UNION ALL SELECT host FROM ddl_other;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host, row_number() OVER () FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT generate_series(1, 2) FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host, count(*) FROM ddl_in GROUP BY ROLLUP (host);
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host, grouping(host) FROM ddl_in GROUP BY host;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in GROUP BY host HAVING grouping(host) = 0;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in FOR UPDATE;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in TABLESAMPLE SYSTEM (1);
CREATE TABLE t WITH (anomaly.continuous) AS SELECT n FROM ddl_in, generate_series(1, 2) n;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT ddl_in FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT ddl_in::text FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT tableoid FROM ddl_in;

-- functions
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host, random() AS r FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in WHERE at > now();
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in WHERE at > current_timestamp;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in WHERE host = current_user;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT to_regclass(host) FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host::regclass FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT avg(random()) FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host, count(*) FROM ddl_in GROUP BY host HAVING count(*) > random();
CREATE FUNCTION ddl_stable(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1';
CREATE TABLE t WITH (anomaly.continuous) AS SELECT ddl_stable(host) FROM ddl_in;

CREATE TABLE t WITH (anomaly.continuous, anomaly.retention = '1 month') AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous, anomaly.retention = '-1 s') AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous, anomaly.retention = '400000 days') AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous, anomaly.retention = '1 day') AS SELECT host FROM ddl_in;
CREATE TABLE t WITH (anomaly.continuous, anomaly.retention = '1 day') AS
  SELECT host, count(*) FROM ddl_in GROUP BY host;
CREATE TABLE t WITH (anomaly.continuous, anomaly.retention = '1 s', anomaly.allowed_lateness = '2 s') AS
  SELECT window_start, count(*) FROM ddl_in, tumble(at, interval '30 s') GROUP BY 1;

-- tumble and hop
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT host, count(*) FROM ddl_in, tumble(at, interval '30 s') GROUP BY host;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT host, window_start FROM ddl_in, tumble(at, interval '30 s');
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT host, count(*) FROM ddl_in, tumble(at, interval '30 s') GROUP BY host, window_start;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT window_start, window_end, count(*) FROM ddl_in, tumble(seen, interval '30 s') GROUP BY 1, 2;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT window_start, window_end, count(*) FROM ddl_in, tumble(now(), interval '30 s') GROUP BY 1, 2;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT window_start, window_end, count(*) FROM ddl_in, tumble(at, interval '1 day 1 hour') GROUP BY 1, 2;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT window_start, window_end, count(*) FROM ddl_in, hop(at, interval '1 hour', interval '1 day') GROUP BY 1, 2;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT window_start, window_end, count(*) FROM ddl_in, hop(seen, interval '10 s', interval '30 s') GROUP BY 1, 2;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT window_start, window_end, count(*)
  FROM ddl_in, hop(at, usage * interval '1 s', interval '30 s') GROUP BY 1, 2;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT window_start, window_end, count(*) FROM ddl_in, tumble(at, interval '0') GROUP BY 1, 2;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT window_start, window_end, count(*) FROM ddl_in, tumble(at, NULL) GROUP BY 1, 2;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT window_start, window_end, count(*) FROM ddl_in, tumble(at, usage * interval '1 s') GROUP BY 1, 2;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT a.window_start, a.window_end, count(*)
  FROM ddl_in, tumble(at, interval '30 s') a, tumble(at, interval '1 minute') b GROUP BY 1, 2;

-- columns of the window where a message is looked at
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT window_start, count(*) FROM ddl_in, tumble(at, interval '30 s')
  WHERE window_start > '2026-01-01' GROUP BY 1;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT window_start, window_end - window_start AS length, count(*)
  FROM ddl_in, tumble(at, interval '1 day') GROUP BY 1, 2;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT window_start, max(at - window_start) FROM ddl_in, tumble(at, interval '30 s') GROUP BY 1;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT window_start, count(*) FILTER (WHERE at > window_start + interval '10 s')
  FROM ddl_in, tumble(at, interval '30 s') GROUP BY 1;

-- aggregates and keys
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host, array_agg(cpu) FROM ddl_in GROUP BY host;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT host, count(DISTINCT cpu) FROM ddl_in GROUP BY host;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT host, percentile_cont(0.5) WITHIN GROUP (ORDER BY usage) FROM ddl_in GROUP BY host;
CREATE TABLE t WITH (anomaly.continuous) AS SELECT count(*) FROM ddl_in GROUP BY host;
CREATE TABLE t WITH (anomaly.continuous) AS
  SELECT to_tsvector('simple', host) AS words, count(*) FROM ddl_in GROUP BY 1;
SELECT to_regclass('t') AS nothing_was_made, (SELECT count(*) FROM anomaly.continuous_table) AS rows;

-- parameters, functions, DO
DO $$ DECLARE top int := 80;
BEGIN CREATE TABLE t WITH (anomaly.continuous) AS SELECT host FROM ddl_in WHERE usage > top; END $$;
DO $$ BEGIN CREATE TABLE t_do WITH (anomaly.continuous) AS SELECT host FROM ddl_in WHERE usage > 80; END $$;
CREATE FUNCTION ddl_make(top text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE 'CREATE TABLE t_function WITH (anomaly.continuous) AS SELECT host FROM ddl_in WHERE usage > ' || top;
END $$;
SELECT ddl_make('80');
BEGIN;
CREATE TABLE t_gone WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
SELECT relid, stream FROM anomaly.continuous_table ORDER BY relid::text COLLATE "C";
ROLLBACK;
BEGIN;
SAVEPOINT s;
CREATE TABLE t_gone WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
ROLLBACK TO s;
COMMIT;
SELECT relid, stream FROM anomaly.continuous_table ORDER BY relid::text COLLATE "C";
DROP TABLE t_do, t_function;
SELECT count(*) FROM anomaly.continuous_table;

-- event triggers, as of any CREATE TABLE AS
CREATE TABLE ddl_audit (event text, tag text, what text);
CREATE FUNCTION ddl_note() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ddl_audit VALUES (TG_EVENT, TG_TAG, NULL);
  IF TG_EVENT = 'ddl_command_end' THEN
    INSERT INTO ddl_audit SELECT NULL, command_tag, object_identity FROM pg_event_trigger_ddl_commands();
  ELSIF TG_EVENT = 'sql_drop' THEN
    INSERT INTO ddl_audit SELECT NULL, object_type, object_identity FROM pg_event_trigger_dropped_objects()
    WHERE original;
  END IF;
END $$;
CREATE EVENT TRIGGER ddl_start ON ddl_command_start WHEN TAG IN ('CREATE TABLE AS') EXECUTE FUNCTION ddl_note();
CREATE EVENT TRIGGER ddl_end ON ddl_command_end WHEN TAG IN ('CREATE TABLE AS') EXECUTE FUNCTION ddl_note();
CREATE EVENT TRIGGER ddl_drop ON sql_drop EXECUTE FUNCTION ddl_note();
CREATE TABLE t_event WITH (anomaly.continuous) AS SELECT host, count(*) FROM ddl_in GROUP BY host;
CREATE TABLE t_error WITH (anomaly.continuous) AS SELECT host FROM ddl_in LIMIT 1;
DROP TABLE t_event;
TABLE ddl_audit;
CREATE FUNCTION ddl_refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not here'; END $$;
CREATE EVENT TRIGGER ddl_refuse ON ddl_command_end WHEN TAG IN ('CREATE TABLE AS') EXECUTE FUNCTION ddl_refuse();
CREATE TABLE t_event WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
SELECT count(*) FROM anomaly.continuous_table;
DROP EVENT TRIGGER ddl_start;
DROP EVENT TRIGGER ddl_end;
DROP EVENT TRIGGER ddl_drop;
DROP EVENT TRIGGER ddl_refuse;
DROP FUNCTION ddl_note(), ddl_refuse();
DROP TABLE ddl_audit;

-- accepted
CREATE TABLE cpu_agg WITH (anomaly.continuous) AS
  SELECT host, cpu, window_start, window_end, avg(usage) AS usage_avg
  FROM ddl_in, tumble(at, interval '30 seconds') GROUP BY host, cpu, window_start, window_end;
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = 'cpu_agg'::regclass AND attnum > 0 ORDER BY attnum;
SELECT pg_get_indexdef(indexrelid), indisprimary FROM pg_index WHERE indrelid = 'cpu_agg'::regclass;
SELECT relreplident, reloptions FROM pg_class WHERE oid = 'cpu_agg'::regclass;
SELECT * FROM cpu_agg;
CREATE TABLE IF NOT EXISTS cpu_agg WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
CREATE TABLE cpu_agg WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
CREATE TABLE host_agg (h, "from", "to", n) WITH (anomaly.continuous, anomaly.emit = close,
    anomaly.allowed_lateness = '5 s', anomaly.start = 'earliest', fillfactor = 90) AS
  SELECT host, window_start, window_end, count(*)
  FROM ddl_in CROSS JOIN tumble(at, interval '24 hours', interval '1 hour') GROUP BY 1, 2, 3;
SELECT pg_get_indexdef(indexrelid), indisprimary FROM pg_index WHERE indrelid = 'host_agg'::regclass;
SELECT relreplident, reloptions FROM pg_class WHERE oid = 'host_agg'::regclass;
SELECT relid, stream, emit, allowed_lateness = '5 s' AS lateness, start
FROM anomaly.continuous_table WHERE relid = 'host_agg'::regclass;
CREATE TABLE IF NOT EXISTS running WITH (anomaly.continuous) AS
  SELECT host, sum(usage) AS usage, count(*) FILTER (WHERE cpu = 'cpu1') AS n
  FROM ddl_in GROUP BY host HAVING count(*) > 1;
CREATE TABLE sliding WITH (anomaly.continuous) AS
  SELECT host, window_start, window_end, count(*) AS n
  FROM ddl_in, hop(at, interval '10 s', interval '30 s', interval '5 s') GROUP BY 1, 2, 3;
SET timezone = 'Europe/Berlin';
CREATE TABLE weekly WITH (anomaly.continuous, anomaly.retention = '30 days') AS
  SELECT window_start, count(*) AS n FROM ddl_in, tumble(at, interval '1 week', interval '-1 day') GROUP BY 1;
RESET timezone;
SELECT anomaly.explain('sliding');
SELECT anomaly.explain('weekly');
DROP TABLE sliding, weekly;
CREATE TABLE everything WITH (anomaly.continuous) AS SELECT count(*) AS n FROM ddl_in;
CREATE TABLE hot WITH (anomaly.continuous) AS
  SELECT at, host, upper(cpu) AS cpu, usage, load, tags FROM ddl_in WHERE usage > 80;
SELECT relid, emit, state IN ('starting', 'unreachable', 'failing') AS waits FROM anomaly.table_status
ORDER BY relid::text COLLATE "C";
-- WITH NO DATA: paused, when it is its stream's first
CREATE TABLE other_later WITH (anomaly.continuous) AS SELECT host FROM ddl_other WITH NO DATA;
SELECT relid, state FROM anomaly.table_status WHERE stream = 'ddl_other'::regclass;
DROP TABLE other_later;
CREATE TABLE later WITH (anomaly.continuous) AS SELECT host FROM ddl_in WITH NO DATA;

-- definitions follow the names of the stream and its columns, whatever these are
CREATE ROLE regress_ddl_owner;
CREATE SCHEMA ddl_schema AUTHORIZATION regress_ddl_owner;
ALTER FOREIGN TABLE ddl_in RENAME TO "ddl's stream";
ALTER FOREIGN TABLE "ddl's stream" RENAME COLUMN usage TO "the load";
ALTER FOREIGN TABLE "ddl's stream" ALTER COLUMN usage OPTIONS (ADD path '$.usage');
ALTER FOREIGN TABLE "ddl's stream" RENAME COLUMN usage TO "the load";
ALTER FOREIGN TABLE "ddl's stream" SET SCHEMA ddl_schema;
SELECT definition FROM anomaly.continuous_table WHERE relid = 'cpu_agg'::regclass;
ALTER FOREIGN TABLE ddl_schema."ddl's stream" SET SCHEMA public;
ALTER FOREIGN TABLE "ddl's stream" RENAME COLUMN "the load" TO usage;
ALTER FOREIGN TABLE "ddl's stream" RENAME TO ddl_in;
SELECT definition FROM anomaly.continuous_table WHERE relid = 'cpu_agg'::regclass;
GRANT SELECT ON ddl_in TO regress_ddl_owner;
GRANT CREATE ON SCHEMA public TO regress_ddl_owner;
ALTER TABLE cpu_agg OWNER TO regress_ddl_owner;

-- rights
CREATE ROLE regress_ddl_reader;
GRANT CREATE ON SCHEMA public TO regress_ddl_reader;
SET ROLE regress_ddl_reader;
CREATE TABLE stolen WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
RESET ROLE;
GRANT SELECT (host) ON ddl_in TO regress_ddl_reader;
SET ROLE regress_ddl_reader;
CREATE TABLE stolen WITH (anomaly.continuous) AS SELECT host, cpu FROM ddl_in;
CREATE TABLE stolen WITH (anomaly.continuous) AS SELECT ddl_in FROM ddl_in;
CREATE TABLE by_column WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
DROP TABLE by_column;
RESET ROLE;
REVOKE SELECT (host) ON ddl_in FROM regress_ddl_reader;
GRANT SELECT ON ddl_in TO regress_ddl_reader;
REVOKE CREATE ON SCHEMA public FROM regress_ddl_reader;
SET ROLE regress_ddl_reader;
CREATE TABLE stolen WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
RESET ROLE;
GRANT CREATE ON SCHEMA public TO regress_ddl_reader;
SET ROLE regress_ddl_reader;
CREATE TABLE own_hot WITH (anomaly.continuous) AS SELECT host FROM ddl_in;
DROP TABLE hot;
DROP TRIGGER anomaly_guard ON hot;
DELETE FROM anomaly.continuous_table;
DROP TABLE own_hot;
RESET ROLE;

-- rules
CREATE FUNCTION plain_rule(p ddl_plain) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';
CREATE FUNCTION hot_rule(h hot) RETURNS text LANGUAGE sql STABLE AS 'SELECT h.host';
CREATE FUNCTION hot_int_rule(h hot) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION hot_set_rule(h hot) RETURNS SETOF text LANGUAGE sql STABLE AS 'SELECT h.host';
CREATE FUNCTION host_rule(h host_agg) RETURNS SETOF anomaly.finding LANGUAGE sql STABLE
  AS $$ SELECT 'warning', 1.0::float8, 2.0::float8, h.h $$;
SELECT anomaly.create_rule('r', 'ddl_plain', 'plain_rule');
SELECT anomaly.create_rule('r', 'ddl_in', 'plain_rule');
SELECT anomaly.create_rule('r', 'no_such_table', 'plain_rule');
SELECT anomaly.create_rule('r', 'hot', 'no_such_rule');
SELECT anomaly.create_rule('r', 'hot', 'plain_rule');
SELECT anomaly.create_rule('r', 'hot', 'a.b.c.d');
SELECT anomaly.create_rule('r', 'hot', 'hot_int_rule');
SELECT anomaly.create_rule('r', 'hot', 'hot_set_rule');
SELECT anomaly.create_rule('r', 'hot', 'hot_rule', 'close');
SELECT anomaly.create_rule('r', 'hot', 'hot_rule', 'often');
SELECT anomaly.create_rule(NULL, 'hot', 'hot_rule');
SELECT anomaly.create_rule('r', NULL, 'hot_rule');
SELECT anomaly.create_rule('r', 'hot', NULL);
SELECT anomaly.create_rule('r', 'hot', 'hot_rule');
SELECT anomaly.create_rule('r', 'hot', 'hot_rule');
SELECT anomaly.create_rule('hosts', 'host_agg', 'public.host_rule');
SELECT anomaly.create_rule('hosts often', 'host_agg', 'host_rule', 'update');
SET ROLE regress_ddl_owner;
SELECT anomaly.create_rule('r2', 'hot', 'hot_rule');
RESET ROLE;
GRANT EXECUTE ON FUNCTION anomaly.create_rule(text, regclass, text, text, jsonb), anomaly.drop_rule(text)
  TO regress_ddl_owner;
SET ROLE regress_ddl_owner;
SELECT anomaly.create_rule('r2', 'hot', 'hot_rule');
SELECT anomaly.drop_rule('r');
RESET ROLE;
CREATE FUNCTION agg_rule(c cpu_agg) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';
REVOKE EXECUTE ON FUNCTION agg_rule FROM PUBLIC;
SELECT anomaly.create_rule('r3', 'cpu_agg', 'agg_rule');
SELECT anomaly.drop_rule('no such rule');
SELECT name, relid, function, result, evaluate, enabled FROM anomaly.rule ORDER BY name;
SELECT anomaly.drop_rule('r');
DROP FUNCTION hot_rule(hot), hot_int_rule(hot), hot_set_rule(hot);

-- drops
DROP TABLE everything;
SELECT relid FROM anomaly.continuous_table ORDER BY relid::text COLLATE "C";
SELECT relid FROM anomaly.table_progress ORDER BY relid::text COLLATE "C";
BEGIN;
DROP TABLE hot;
ROLLBACK;
DROP TRIGGER anomaly_guard ON hot;
INSERT INTO hot (host) VALUES ('now a plain table');
ALTER TABLE hot ADD COLUMN a int;
SELECT host FROM hot;
DROP FUNCTION host_rule(host_agg) CASCADE;
DROP TABLE host_agg;
SELECT name FROM anomaly.rule;
SELECT relid FROM anomaly.continuous_table ORDER BY relid::text COLLATE "C";
DROP FOREIGN TABLE ddl_in;
DROP FOREIGN TABLE ddl_in CASCADE;
SELECT count(*) FROM anomaly.continuous_table;
SELECT count(*) FROM anomaly.table_progress;
SELECT stream FROM anomaly.stream;
INSERT INTO cpu_agg VALUES ('doc', 'cpu1', '2026-01-01', '2026-01-01 00:00:30', 1);
INSERT INTO running VALUES ('doc', 1, 1);
SELECT relname FROM pg_class WHERE oid IN ('cpu_agg'::regclass, 'running'::regclass, 'hot'::regclass)
ORDER BY relname;
-- a name that was used before is free again
CREATE TABLE other_agg WITH (anomaly.continuous) AS SELECT host FROM ddl_other;
DROP TABLE other_agg;
CREATE TABLE other_agg WITH (anomaly.continuous) AS SELECT host, count(*) FROM ddl_other GROUP BY host;
DROP EXTENSION anomaly CASCADE;
INSERT INTO other_agg VALUES ('a plain table is left', 1);
DROP TABLE other_agg, cpu_agg, running, hot, ddl_plain CASCADE;
DROP FUNCTION ddl_stable(text), ddl_make(text);
DROP SCHEMA ddl_schema;
REVOKE CREATE ON SCHEMA public FROM regress_ddl_owner, regress_ddl_reader;
DROP ROLE regress_ddl_owner, regress_ddl_reader;
