-- The definition of a continuous table follows the names of what it uses, as a view's does; whoever
-- renames something needs no right on the rest.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS anomaly CASCADE;
CREATE EXTENSION anomaly;
CREATE SERVER names_server FOREIGN DATA WRAPPER anomaly_kafka OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE SCHEMA names_streams;
CREATE SCHEMA names_tools;
CREATE ROLE regress_names_owner;
GRANT CREATE, USAGE ON SCHEMA names_tools TO regress_names_owner;
CREATE TYPE names_tools.mood AS ENUM ('sad', 'fine');
CREATE TYPE names_tools.pair AS (x int, y text);
CREATE DOMAIN names_tools.small AS int CHECK (VALUE < 1000);
CREATE COLLATION names_tools.plain FROM "C";
CREATE FUNCTION names_tools.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1';
CREATE FUNCTION names_tools.mood_of(int) RETURNS names_tools.mood LANGUAGE sql IMMUTABLE
  RETURN CASE WHEN $1 > 0 THEN 'fine'::names_tools.mood ELSE 'sad'::names_tools.mood END;
CREATE FUNCTION names_tools.make_pair(int, text) RETURNS names_tools.pair LANGUAGE sql IMMUTABLE
  RETURN ROW($1, $2)::names_tools.pair;
CREATE AGGREGATE names_tools.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = 0);
CREATE OPERATOR names_tools.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE TABLE names_tools.row_type (a int, b text);
CREATE FOREIGN TABLE names_streams.names_in (n int, host text, at timestamptz)
  SERVER names_server OPTIONS (topic 'none', event_time 'at');
SET search_path = public, names_tools, names_streams;
CREATE TABLE by_function WITH (anomaly.continuous) AS SELECT twice(n) AS a FROM names_in;
CREATE TABLE by_aggregate WITH (anomaly.continuous) AS SELECT host, total(n) AS a FROM names_in GROUP BY host;
CREATE TABLE by_label WITH (anomaly.continuous) AS SELECT host, count(*) AS n FROM names_in
  WHERE mood_of(n) = 'sad' OR mood_of(n) = ANY ('{fine}'::mood[]) GROUP BY host;
CREATE TABLE by_type WITH (anomaly.continuous) AS SELECT cardinality('{}'::mood[]) AS b, n::small AS c FROM names_in;
CREATE TABLE by_field WITH (anomaly.continuous) AS
  SELECT (make_pair(n, host)).y, (ROW(n, host)::row_type).b FROM names_in;
CREATE TABLE by_operator WITH (anomaly.continuous) AS
  SELECT host FROM names_in WHERE n === 7 AND host < 'x' COLLATE plain;
CREATE VIEW names_text AS SELECT relid, regexp_replace(definition, '\s+', ' ', 'g') AS definition
  FROM anomaly.continuous_table ORDER BY relid;
SELECT * FROM names_text;

GRANT CREATE ON DATABASE :DBNAME TO regress_names_owner;
ALTER FUNCTION twice(int) OWNER TO regress_names_owner;
SET ROLE regress_names_owner;
ALTER FUNCTION names_tools.twice(int) RENAME TO "Double";
RESET ROLE;
ALTER AGGREGATE total(int) RENAME TO sum_up;
CREATE OR REPLACE AGGREGATE names_tools.sum_up(int) (SFUNC = int4pl, STYPE = int, INITCOND = 0);
CREATE OR REPLACE AGGREGATE names_tools.sum_up(int) (SFUNC = int4mul, STYPE = int, INITCOND = 1);
CREATE OR REPLACE AGGREGATE names_tools.sum_up(bigint) (SFUNC = int8pl, STYPE = bigint);
DROP AGGREGATE names_tools.sum_up(bigint);
CREATE TABLE by_group WITH (anomaly.continuous) AS SELECT mood_of(n) AS m, count(*) AS n FROM names_in GROUP BY 1;
ALTER TYPE mood RENAME VALUE 'sad' TO 'low';
DROP TABLE by_group;
-- groups and states that hold labels, in whatever they are packed; a filter holds none, nor does a count
CREATE DOMAIN tone AS mood;
CREATE TYPE feeling AS (at int, moods tone[]);
CREATE FOREIGN TABLE names_streams.feelings_in (n int, m mood, f feeling, at timestamptz)
  SERVER names_server OPTIONS (topic 'none', event_time 'at');
CREATE TABLE by_packed WITH (anomaly.continuous) AS SELECT ARRAY[f] AS k, count(*) AS n FROM feelings_in GROUP BY 1;
CREATE TABLE by_state WITH (anomaly.continuous) AS SELECT n, max(m) IS NULL AS m FROM feelings_in GROUP BY n;
CREATE TABLE by_distinct WITH (anomaly.continuous) AS SELECT window_end, count(DISTINCT m) AS n
  FROM feelings_in, tumble(at, '1 hour') GROUP BY 1;
CREATE TABLE by_having WITH (anomaly.continuous) AS
  SELECT n, count(*) AS c FROM feelings_in GROUP BY n HAVING min(m) = 'sad';
CREATE TABLE by_count WITH (anomaly.continuous) AS
  SELECT n, count(m) FILTER (WHERE m = 'sad') AS c, max(n) AS top FROM feelings_in WHERE (f).at > 0 GROUP BY n;
CREATE TABLE by_filter WITH (anomaly.continuous) AS SELECT m, f FROM feelings_in WHERE m = 'sad';
ALTER TYPE mood RENAME VALUE 'sad' TO 'low';
DROP TABLE by_packed, by_state, by_distinct;
ALTER TYPE mood RENAME VALUE 'sad' TO 'low';
DROP TABLE by_having;
CREATE TABLE by_cast WITH (anomaly.continuous) AS SELECT n FROM feelings_in WHERE m::text < 'x';
ALTER TYPE mood RENAME VALUE 'sad' TO 'low';
DROP TABLE by_cast;
ALTER TYPE mood RENAME VALUE 'sad' TO 'low';
SELECT * FROM names_text WHERE relid IN ('by_count'::regclass, 'by_filter'::regclass);
-- the attributes of a row type: groups and states are stored with them, fields are found by their names
CREATE TABLE by_rows WITH (anomaly.continuous) AS SELECT f, count(*) AS n FROM feelings_in GROUP BY 1;
ALTER TYPE feeling ADD ATTRIBUTE more int;
ALTER TYPE feeling DROP ATTRIBUTE at;
DROP TABLE by_rows;
CREATE TABLE by_rows WITH (anomaly.continuous) AS
  SELECT window_end, array_agg(ROW(n, host)::row_type) AS r FROM names_in, tumble(at, '1 hour') GROUP BY 1;
ALTER TABLE row_type ADD COLUMN c int;
DROP TABLE by_rows;
ALTER TABLE row_type ADD COLUMN c int;
ALTER TABLE row_type DROP COLUMN c;
ALTER TYPE feeling RENAME ATTRIBUTE moods TO many;
ALTER TYPE feeling ADD ATTRIBUTE more int;
ALTER TYPE feeling DROP ATTRIBUTE more;
DROP FOREIGN TABLE feelings_in CASCADE;
DROP TABLE by_count, by_filter;
DROP TYPE feeling;
DROP DOMAIN tone;
ALTER TYPE mood ADD VALUE 'high';
ALTER TYPE mood RENAME TO temper;
ALTER DOMAIN small SET SCHEMA public;
ALTER TYPE pair RENAME ATTRIBUTE y TO why;
ALTER TABLE row_type RENAME TO row_of_two;
ALTER OPERATOR ===(int, int) SET SCHEMA public;
ALTER COLLATION plain RENAME TO simple;
SELECT * FROM names_text;
ALTER SCHEMA names_tools RENAME TO "names' tools";
ALTER SCHEMA names_streams RENAME TO topics;
ALTER FOREIGN TABLE topics.names_in RENAME TO messages;
SELECT * FROM names_text;
SELECT count(anomaly.explain(relid)) AS readable FROM anomaly.continuous_table;
BEGIN;
ALTER SCHEMA "names' tools" RENAME TO never;
ROLLBACK;
SELECT count(*) FROM names_text WHERE definition ~ 'never';

-- a definition that cannot be read is no matter of others
UPDATE anomaly.continuous_table SET definition = 'SELECT host FROM no_such_stream' WHERE relid = 'by_label'::regclass;
ALTER SCHEMA topics RENAME TO names_streams;
SELECT definition FROM names_text WHERE relid IN ('by_label'::regclass, 'by_aggregate'::regclass);

RESET search_path;
DROP EXTENSION anomaly CASCADE;
DROP TABLE by_function, by_aggregate, by_label, by_type, by_field, by_operator;
DROP SCHEMA "names' tools", names_streams CASCADE;
DROP DOMAIN small;
DROP OPERATOR ===(int, int);
REVOKE ALL ON DATABASE :DBNAME FROM regress_names_owner;
DROP ROLE regress_names_owner;
