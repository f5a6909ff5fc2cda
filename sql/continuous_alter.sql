-- What each statement of PostgreSQL does to a continuous table, and to a stream that one reads: what
-- it does to any table, or it is refused with the reason and the way out. Nobody listens where the
-- broker should be; what the worker makes of it is tested in test/tap.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS anomaly CASCADE;
CREATE EXTENSION anomaly;
CREATE SERVER alter_server FOREIGN DATA WRAPPER anomaly_kafka OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE FOREIGN TABLE alter_in (host text, cpu text NOT NULL, usage float8, spare int, at timestamptz)
  SERVER alter_server OPTIONS (topic 'none', event_time 'at');
CREATE TABLE windowed WITH (anomaly.continuous, anomaly.retention = '7 days') AS
  SELECT cpu, window_start, window_end, avg(usage) AS usage
  FROM alter_in, tumble(at, interval '1 minute') GROUP BY cpu, window_start, window_end;
-- its key may be NULL
CREATE TABLE totals WITH (anomaly.continuous) AS SELECT host, count(*) AS n FROM alter_in GROUP BY host;
CREATE TABLE filter WITH (anomaly.continuous) AS SELECT at, host, usage FROM alter_in WHERE usage > 80;
CREATE TABLE one_row WITH (anomaly.continuous) AS SELECT count(*) AS n FROM alter_in;
CREATE TABLE plain (host text UNIQUE, n bigint);
CREATE ROLE regress_alter_owner;
CREATE ROLE regress_alter_reader;
GRANT CREATE ON SCHEMA public TO regress_alter_owner;
GRANT SELECT ON alter_in TO regress_alter_owner;
CREATE SCHEMA alter_schema;
GRANT CREATE, USAGE ON SCHEMA alter_schema TO regress_alter_owner;
CREATE FUNCTION alter_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';

-- ======== statements that write: refused, only the worker does ========
INSERT INTO totals VALUES ('doc', 1);
INSERT INTO totals SELECT * FROM plain ON CONFLICT DO NOTHING;
UPDATE totals SET n = 1;
DELETE FROM totals;
WITH gone AS (DELETE FROM filter RETURNING *) SELECT * FROM gone;
MERGE INTO totals USING plain p ON totals.host = p.host WHEN NOT MATCHED THEN INSERT VALUES (p.host, 1);
TRUNCATE totals;
TRUNCATE plain, windowed;
COPY filter (host) FROM stdin;
\.
CREATE VIEW over_totals AS SELECT host, n FROM totals;
INSERT INTO over_totals VALUES ('doc', 1);
DROP VIEW over_totals;

-- ======== statements that read or look after: as with any table ========
SELECT * FROM windowed FOR UPDATE;
COPY totals TO stdout;
TABLE filter;
BEGIN; LOCK TABLE windowed IN ACCESS EXCLUSIVE MODE; COMMIT;
VACUUM windowed;
VACUUM (FULL, ANALYZE) totals;
ANALYZE filter;
CLUSTER windowed USING windowed_pkey;
REINDEX TABLE windowed;
REINDEX INDEX CONCURRENTLY windowed_pkey;
COMMENT ON TABLE windowed IS 'loads';
COMMENT ON COLUMN windowed.usage IS 'load';
SECURITY LABEL ON TABLE windowed IS 'secret';
GRANT SELECT, INSERT ON windowed TO regress_alter_reader;
SET ROLE regress_alter_reader;
SELECT count(*) FROM windowed;
INSERT INTO windowed VALUES ('cpu1', '2026-01-01', '2026-01-01', 1);
RESET ROLE;
REVOKE ALL ON windowed FROM regress_alter_reader;
CREATE TABLE copy (LIKE windowed INCLUDING ALL);
INSERT INTO copy VALUES ('cpu1', '2026-01-01', '2026-01-01', 1);
DROP TABLE copy;
CREATE MATERIALIZED VIEW snapshot AS SELECT * FROM windowed;
DROP MATERIALIZED VIEW snapshot;

-- ======== indexes and statistics ========
CREATE INDEX ON windowed (window_end);
CREATE INDEX windowed_usage ON windowed USING brin (usage) WHERE usage > 1;
CREATE INDEX CONCURRENTLY totals_n ON totals ((n + 1)) INCLUDE (host);
CREATE UNIQUE INDEX ON windowed (cpu);
CREATE UNIQUE INDEX CONCURRENTLY ON totals (n);
CREATE UNIQUE INDEX ON filter (at);
ALTER INDEX windowed_pkey RENAME TO windowed_key;
ALTER INDEX windowed_usage SET (pages_per_range = 16);
CREATE STATISTICS windowed_statistics ON cpu, window_start FROM windowed;
DROP STATISTICS windowed_statistics;
DROP INDEX windowed_usage;
DROP INDEX windowed_key;
DROP INDEX totals_host_idx;

-- ======== ALTER TABLE: names, owner, place ========
BEGIN;
ALTER TABLE windowed RENAME TO loads;
ALTER TABLE loads RENAME COLUMN usage TO "the load";
ALTER TABLE loads RENAME CONSTRAINT windowed_key TO loads_key;
ALTER TABLE loads SET SCHEMA alter_schema;
ALTER TABLE alter_schema.loads OWNER TO regress_alter_owner;
SELECT relid, stream FROM anomaly.continuous_table ORDER BY relid::text COLLATE "C";
REASSIGN OWNED BY regress_alter_owner TO CURRENT_USER;
ROLLBACK;
ALTER TABLE windowed SET TABLESPACE pg_default;
ALTER TABLE windowed SET LOGGED;
ALTER TABLE windowed SET UNLOGGED;
ALTER TABLE windowed SET ACCESS METHOD heap;
ALTER TABLE windowed CLUSTER ON windowed_key;
ALTER TABLE windowed SET WITHOUT CLUSTER;
ALTER TABLE windowed SET WITHOUT OIDS;

-- ======== ALTER TABLE: columns ========
ALTER TABLE windowed ADD COLUMN a int;
ALTER TABLE windowed DROP COLUMN usage;
ALTER TABLE windowed DROP COLUMN IF EXISTS usage CASCADE;
ALTER TABLE windowed ALTER COLUMN usage TYPE numeric;
ALTER TABLE windowed ALTER COLUMN usage SET NOT NULL;
ALTER TABLE windowed ALTER COLUMN usage DROP NOT NULL;
ALTER TABLE totals ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY;
ALTER TABLE windowed ALTER COLUMN usage SET DEFAULT 0, ALTER COLUMN usage DROP DEFAULT;
ALTER TABLE windowed ALTER COLUMN cpu SET STATISTICS 500;
ALTER TABLE windowed ALTER COLUMN cpu SET (n_distinct = 5), ALTER COLUMN cpu RESET (n_distinct);
ALTER TABLE windowed ALTER COLUMN cpu SET STORAGE MAIN;
ALTER TABLE windowed ALTER COLUMN cpu SET COMPRESSION pglz;
CREATE TYPE pair AS (host text, n bigint);
ALTER TABLE totals OF pair;
DROP TYPE pair;

-- ======== ALTER TABLE: constraints ========
ALTER TABLE windowed ADD CHECK (usage < 100);
ALTER TABLE windowed ADD CHECK (usage < 100) NOT VALID;
ALTER TABLE windowed ADD UNIQUE (cpu);
ALTER TABLE filter ADD PRIMARY KEY (at);
ALTER TABLE windowed ADD EXCLUDE (usage WITH =);
ALTER TABLE totals ADD CONSTRAINT u UNIQUE USING INDEX totals_host_idx;
ALTER TABLE totals ADD FOREIGN KEY (host) REFERENCES plain (host);
ALTER TABLE windowed DROP CONSTRAINT windowed_key;
ALTER TABLE windowed DROP CONSTRAINT windowed_key CASCADE;
\set VERBOSITY sqlstate
ALTER TABLE windowed VALIDATE CONSTRAINT windowed_key;
\set VERBOSITY default
-- foreign keys to it say what becomes of their rows
CREATE TABLE child (cpu text, s timestamptz, e timestamptz);
ALTER TABLE child ADD FOREIGN KEY (cpu, s, e) REFERENCES windowed;
ALTER TABLE child ADD FOREIGN KEY (cpu, s, e) REFERENCES windowed ON DELETE RESTRICT;
CREATE TABLE child2 (cpu text, s timestamptz, e timestamptz, FOREIGN KEY (cpu, s, e) REFERENCES windowed);
CREATE TABLE child2 (host text REFERENCES totals (host));
ALTER TABLE child ADD COLUMN host text REFERENCES totals (host);
ALTER TABLE child ADD FOREIGN KEY (cpu, s, e) REFERENCES windowed ON DELETE CASCADE;
CREATE TABLE child2 (cpu text, s timestamptz, e timestamptz,
  FOREIGN KEY (cpu, s, e) REFERENCES windowed ON DELETE SET NULL);
DROP TABLE child, child2;

-- ======== ALTER TABLE: inheritance and partitions ========
ALTER TABLE totals INHERIT plain;
ALTER TABLE totals NO INHERIT plain;
ALTER TABLE plain INHERIT totals;
CREATE TABLE heir () INHERITS (totals);
CREATE TABLE parted (host text, n bigint) PARTITION BY LIST (host);
ALTER TABLE parted ATTACH PARTITION totals FOR VALUES IN ('doc');
DROP TABLE parted;
CREATE TABLE part PARTITION OF totals FOR VALUES IN ('doc');
CREATE FOREIGN TABLE foreign_heir () INHERITS (totals) SERVER alter_server OPTIONS (topic 'none');
-- the same of the stream: it is read alone
CREATE TABLE heir () INHERITS (alter_in);
CREATE FOREIGN TABLE foreign_heir () INHERITS (alter_in) SERVER alter_server OPTIONS (topic 'none');
CREATE TABLE heir (LIKE alter_in);
ALTER TABLE heir INHERIT alter_in;
DROP TABLE heir;
CREATE FOREIGN TABLE apart (host text) SERVER alter_server OPTIONS (topic 'none');
CREATE TABLE reads_only WITH (anomaly.continuous) AS SELECT host FROM ONLY apart;
CREATE TABLE heir () INHERITS (apart);
DROP TABLE heir, reads_only;
CREATE TABLE parted (host text) PARTITION BY LIST (host);
ALTER TABLE parted ATTACH PARTITION apart FOR VALUES IN ('doc');
CREATE TABLE reads_part WITH (anomaly.continuous) AS SELECT host FROM apart;
DROP TABLE reads_part, parted;

-- ======== ALTER TABLE: parameters ========
ALTER TABLE windowed SET (fillfactor = 60, autovacuum_enabled = false), RESET (autovacuum_enabled);
ALTER TABLE windowed SET (anomaly.retention = '1 day');
ALTER TABLE windowed RESET (anomaly.retention);
ALTER TABLE totals SET (anomaly.emit = close);
ALTER TABLE windowed SET (toast.autovacuum_enabled = false);
ALTER TABLE windowed REPLICA IDENTITY FULL;
ALTER TABLE windowed REPLICA IDENTITY USING INDEX windowed_key;
ALTER TABLE windowed REPLICA IDENTITY DEFAULT;
ALTER TABLE windowed REPLICA IDENTITY NOTHING;
ALTER TABLE totals REPLICA IDENTITY DEFAULT;
ALTER TABLE one_row REPLICA IDENTITY DEFAULT;
ALTER TABLE filter REPLICA IDENTITY FULL;
SELECT relname, relreplident FROM pg_class WHERE oid IN (SELECT relid FROM anomaly.continuous_table) ORDER BY 1;

-- ======== triggers, rewrite rules, row security ========
CREATE TRIGGER own AFTER INSERT ON windowed FOR EACH ROW EXECUTE FUNCTION alter_trigger();
ALTER TABLE windowed DISABLE TRIGGER own, ENABLE REPLICA TRIGGER own, ENABLE ALWAYS TRIGGER own, ENABLE TRIGGER own;
ALTER TRIGGER own ON windowed RENAME TO mine;
DROP TRIGGER mine ON windowed;
ALTER TABLE windowed DISABLE TRIGGER anomaly_guard;
ALTER TABLE windowed ENABLE REPLICA TRIGGER anomaly_guard;
ALTER TABLE windowed DISABLE TRIGGER USER;
ALTER TABLE windowed DISABLE TRIGGER ALL;
ALTER TABLE windowed ENABLE TRIGGER ALL;
ALTER TRIGGER anomaly_guard ON windowed RENAME TO guard;
CREATE OR REPLACE TRIGGER anomaly_guard BEFORE INSERT ON windowed EXECUTE FUNCTION alter_trigger();
CREATE RULE no_insert AS ON INSERT TO windowed DO INSTEAD NOTHING;
ALTER TABLE windowed ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON windowed FOR SELECT TO regress_alter_reader USING (cpu = 'cpu1');
ALTER POLICY own ON windowed RENAME TO few;
DROP POLICY few ON windowed;
ALTER TABLE windowed FORCE ROW LEVEL SECURITY;
ALTER TABLE windowed NO FORCE ROW LEVEL SECURITY;
ALTER TABLE windowed DISABLE ROW LEVEL SECURITY;

-- who is not its owner has no say, and is told so
SET ROLE regress_alter_reader;
ALTER TABLE windowed RENAME TO mine;
DROP TABLE windowed;
DROP TRIGGER anomaly_guard ON windowed;
RESET ROLE;

-- after all that they are what they were
SELECT relid, (SELECT count(*) FROM pg_trigger WHERE tgrelid = relid AND tgname = 'anomaly_guard' AND tgenabled = 'O')
  AS guards, (SELECT count(*) FROM pg_constraint WHERE conrelid = relid AND contype <> 'n') AS constraints,
  (SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
   FROM pg_attribute WHERE attrelid = relid AND attnum > 0) AS columns
FROM anomaly.continuous_table ORDER BY relid::text COLLATE "C";
INSERT INTO windowed VALUES ('cpu1', '2026-01-01', '2026-01-01', 1);

-- ======== streams: ALTER FOREIGN TABLE ========
ALTER FOREIGN TABLE alter_in ADD COLUMN added int DEFAULT 1;
ALTER FOREIGN TABLE alter_in ALTER COLUMN added DROP DEFAULT;
ALTER FOREIGN TABLE alter_in ALTER COLUMN added SET NOT NULL;
ALTER FOREIGN TABLE alter_in ALTER COLUMN added DROP NOT NULL;
CREATE TABLE of_both WITH (anomaly.continuous) AS SELECT count(*) AS n, cpu, host FROM alter_in GROUP BY 2, 3;
BEGIN;
DROP TABLE windowed CASCADE;
ALTER FOREIGN TABLE alter_in ALTER COLUMN cpu DROP NOT NULL;
ROLLBACK;
DROP TABLE of_both;
ALTER FOREIGN TABLE alter_in ALTER COLUMN cpu DROP NOT NULL;
ALTER FOREIGN TABLE alter_in ALTER COLUMN usage SET NOT NULL, ALTER COLUMN host SET NOT NULL;
CREATE TABLE handed_up WITH (anomaly.continuous) AS
  WITH w AS (SELECT h, usage FROM (SELECT host AS h, usage FROM alter_in) s)
  SELECT h, sum(usage) AS usage FROM w GROUP BY h;
ALTER FOREIGN TABLE alter_in ALTER COLUMN host DROP NOT NULL;
ALTER FOREIGN TABLE alter_in ALTER COLUMN usage DROP NOT NULL;
DROP TABLE handed_up;
ALTER FOREIGN TABLE alter_in ALTER COLUMN host DROP NOT NULL;
ALTER FOREIGN TABLE alter_in ALTER COLUMN added TYPE bigint;
ALTER FOREIGN TABLE alter_in ALTER COLUMN added OPTIONS (ADD path '$.a.b');
ALTER FOREIGN TABLE alter_in ALTER COLUMN added OPTIONS (SET path 'a.b');
ALTER FOREIGN TABLE alter_in RENAME COLUMN added TO more;
ALTER FOREIGN TABLE alter_in ALTER COLUMN more SET STATISTICS 10;
ALTER FOREIGN TABLE alter_in DROP COLUMN more;
ALTER FOREIGN TABLE alter_in DROP COLUMN spare;
ALTER FOREIGN TABLE alter_in DROP COLUMN usage;
ALTER FOREIGN TABLE alter_in DROP COLUMN at;
ALTER FOREIGN TABLE alter_in ALTER COLUMN usage TYPE real;
ALTER FOREIGN TABLE alter_in RENAME COLUMN usage TO load;
ALTER FOREIGN TABLE alter_in ALTER COLUMN usage OPTIONS (ADD path '$.usage');
ALTER FOREIGN TABLE alter_in RENAME COLUMN usage TO load;
ALTER FOREIGN TABLE alter_in RENAME COLUMN load TO usage;
ALTER FOREIGN TABLE alter_in RENAME COLUMN at TO time;
ALTER FOREIGN TABLE alter_in ADD CHECK (usage < 1000);
ALTER FOREIGN TABLE alter_in DROP CONSTRAINT alter_in_usage_check;
ALTER FOREIGN TABLE alter_in ADD PRIMARY KEY (host);
ALTER FOREIGN TABLE alter_in OPTIONS (SET topic 'none');
ALTER FOREIGN TABLE alter_in OPTIONS (SET topic 'another');
ALTER FOREIGN TABLE alter_in OPTIONS (SET event_time 'host');
ALTER FOREIGN TABLE alter_in OPTIONS (DROP topic);
ALTER FOREIGN TABLE alter_in OPTIONS (ADD watermark_delay '5 s', ADD startup 'latest');
ALTER FOREIGN TABLE alter_in OPTIONS (SET watermark_delay 'soon');
ALTER FOREIGN TABLE alter_in SET (fillfactor = 50);
CREATE TABLE many (host text, cpu text NOT NULL, usage float8, at timestamptz) PARTITION BY LIST (host);
ALTER TABLE many ATTACH PARTITION alter_in FOR VALUES IN ('doc');
ALTER TABLE many DETACH PARTITION alter_in;
DROP TABLE many;
CREATE TRIGGER own AFTER INSERT ON alter_in FOR EACH ROW EXECUTE FUNCTION alter_trigger();
ALTER FOREIGN TABLE alter_in DISABLE TRIGGER own;
DROP TRIGGER own ON alter_in;
CREATE INDEX ON alter_in (host);
TRUNCATE alter_in;
\set VERBOSITY sqlstate
ANALYZE alter_in;
\set VERBOSITY default
COMMENT ON FOREIGN TABLE alter_in IS 'a topic';
BEGIN;
ALTER FOREIGN TABLE alter_in RENAME TO messages;
ALTER FOREIGN TABLE messages SET SCHEMA alter_schema;
ALTER FOREIGN TABLE alter_schema.messages OWNER TO regress_alter_owner;
SELECT definition FROM anomaly.continuous_table WHERE relid = 'totals'::regclass;
ROLLBACK;
SELECT definition FROM anomaly.continuous_table WHERE relid = 'totals'::regclass;

-- ======== servers and user mappings ========
ALTER SERVER alter_server RENAME TO queue;
ALTER SERVER queue VERSION '3.7' OPTIONS (ADD fetch_wait_max_ms '200');
ALTER SERVER queue OPTIONS (SET fetch_wait_max_ms '100', ADD no_such_option '1');
ALTER SERVER queue OPTIONS (DROP bootstrap_servers);
ALTER SERVER queue OWNER TO CURRENT_USER;
ALTER SERVER queue RENAME TO alter_server;
CREATE USER MAPPING FOR CURRENT_USER SERVER alter_server OPTIONS (sasl_username 'app');
ALTER USER MAPPING FOR CURRENT_USER SERVER alter_server OPTIONS (SET sasl_username 'b', ADD sasl_password 'x');
ALTER USER MAPPING FOR CURRENT_USER SERVER alter_server OPTIONS (ADD topic 'x');
DROP USER MAPPING FOR CURRENT_USER SERVER alter_server;

-- ======== DROP ========
-- a function that a definition uses
CREATE FUNCTION alter_scale(float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE TABLE scaled WITH (anomaly.continuous) AS SELECT host, alter_scale(usage) AS usage FROM alter_in;
DROP FUNCTION alter_scale(float8);
BEGIN;
DROP FUNCTION alter_scale(float8) CASCADE;
INSERT INTO scaled VALUES ('a plain table', 1);
SELECT relid FROM anomaly.continuous_table ORDER BY relid::text COLLATE "C";
ROLLBACK;
-- the index that is its key
BEGIN;
DROP INDEX totals_host_idx CASCADE;
INSERT INTO totals VALUES ('a plain table', 1);
ROLLBACK;
-- what others made of it
CREATE VIEW over_totals AS SELECT * FROM totals;
DROP TABLE totals;
BEGIN;
DROP TABLE totals CASCADE;
SELECT to_regclass('over_totals') AS view, count(*) FROM anomaly.continuous_table;
ROLLBACK;
-- a column of the stream that some use
BEGIN;
ALTER FOREIGN TABLE alter_in DROP COLUMN usage CASCADE;
SELECT relid FROM anomaly.continuous_table ORDER BY relid::text COLLATE "C";
INSERT INTO windowed VALUES ('a plain table', '2026-01-01', '2026-01-01', 1);
ROLLBACK;
-- the stream, its server, its schema, the extension
CREATE TABLE alter_schema.filter WITH (anomaly.continuous) AS SELECT host FROM alter_in;
DROP FOREIGN TABLE alter_in;
DROP SERVER alter_server;
DROP EXTENSION anomaly;
DROP SCHEMA alter_schema;
BEGIN;
DROP SCHEMA alter_schema CASCADE;
SELECT relid FROM anomaly.continuous_table ORDER BY relid::text COLLATE "C";
ROLLBACK;
BEGIN;
DROP SERVER alter_server CASCADE;
SELECT to_regclass('alter_in') AS stream, (SELECT count(*) FROM anomaly.continuous_table) AS tables,
  (SELECT count(*) FROM anomaly.table_progress) AS positions, (SELECT count(*) FROM anomaly.stream) AS streams;
INSERT INTO totals VALUES ('a plain table', 1);
ROLLBACK;
BEGIN;
DROP EXTENSION anomaly CASCADE;
INSERT INTO totals VALUES ('a plain table', 1);
SELECT count(*) FROM pg_trigger WHERE tgname = 'anomaly_guard';
ROLLBACK;
-- a role
ALTER TABLE filter OWNER TO regress_alter_owner;
DROP ROLE regress_alter_owner;
BEGIN;
DROP OWNED BY regress_alter_owner CASCADE;
SELECT relid FROM anomaly.continuous_table ORDER BY relid::text COLLATE "C";
ROLLBACK;
REASSIGN OWNED BY regress_alter_owner TO CURRENT_USER;
DROP OWNED BY regress_alter_owner;
DROP ROLE regress_alter_owner;
-- tables of either kind together; and the guard alone
DROP TABLE scaled, one_row, plain, alter_schema.filter;
DROP TRIGGER anomaly_guard ON windowed;
ALTER TABLE windowed ADD COLUMN a int, ADD CHECK (usage < 100);
CREATE UNIQUE INDEX ON windowed (a);
INSERT INTO windowed VALUES ('a plain table', '2026-01-01', '2026-01-01', 1);
TRUNCATE windowed;
SELECT relid FROM anomaly.continuous_table ORDER BY relid::text COLLATE "C";
DROP TABLE IF EXISTS windowed, filter, no_such_table;
DROP TABLE totals CASCADE;
SELECT (SELECT count(*) FROM anomaly.continuous_table) AS tables, (SELECT count(*) FROM anomaly.table_progress) AS positions;
DROP FOREIGN TABLE alter_in;
DROP SERVER alter_server;
DROP FUNCTION alter_scale(float8), alter_trigger();
DROP SCHEMA alter_schema;
DROP EXTENSION anomaly;
DROP ROLE regress_alter_reader;
