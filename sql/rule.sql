-- Rules as objects: made, changed, switched off and on, looked at. Nobody listens where the broker
-- should be; what rules find is tested with messages.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS anomaly CASCADE;
CREATE EXTENSION anomaly;
CREATE SERVER rule_server FOREIGN DATA WRAPPER anomaly_kafka OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE FOREIGN TABLE rule_in (host text, usage double precision, at timestamptz)
  SERVER rule_server OPTIONS (topic 'none', format 'json', event_time 'at');
CREATE TABLE host_load WITH (anomaly.continuous) AS
  SELECT host, window_start, window_end, max(usage) AS top
  FROM rule_in, tumble(at, interval '1 minute') GROUP BY host, window_start, window_end;
CREATE TABLE host_hot WITH (anomaly.continuous) AS SELECT at, host, usage FROM rule_in WHERE usage > 80;

CREATE FUNCTION over_80(h host_load) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT h.top > 80';
CREATE FUNCTION over_limit(h host_load, p jsonb) RETURNS SETOF anomaly.finding LANGUAGE sql STABLE AS
  $$ SELECT 'warning', h.top, (p->>'limit')::float8, 'over' WHERE h.top > (p->>'limit')::float8 $$;
CREATE FUNCTION hot_text(h host_hot) RETURNS text LANGUAGE sql STABLE AS 'SELECT h.host';
CREATE FUNCTION bad_result(h host_load, p jsonb) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';

-- parameters
SELECT anomaly.create_rule('fixed', 'host_load', 'over_80', parameters => '{"limit": 80}');
SELECT anomaly.create_rule('free', 'host_load', 'over_limit');
SELECT anomaly.create_rule('', 'host_load', 'over_80');
SELECT anomaly.create_rule(repeat('long', 50) || 'e', 'host_load', 'over_80');
SELECT anomaly.create_consumer('');
SELECT anomaly.create_rule('free', 'host_load', 'no_such_rule', 'close', '{}');
SELECT anomaly.create_rule('free', 'host_load', 'bad_result', 'close', '{}');
SELECT anomaly.create_rule('fixed', 'host_load', 'over_80');
SELECT anomaly.create_rule('free', 'host_load', 'over_limit', parameters => '{"limit": 90, "why": "it''s \\ hot"}');
SELECT anomaly.create_rule('other', 'host_load', 'over_limit', 'update', '[1]');
SELECT anomaly.create_rule('none', 'host_load', 'over_80', 'close', 'null');
SELECT anomaly.create_rule('hot', 'host_hot', 'hot_text');
SELECT name, function, result, evaluate, parameters FROM anomaly.rule ORDER BY name;

-- alter
SELECT anomaly.alter_rule('no such rule', 'over_80');
SELECT anomaly.alter_rule(NULL);
SELECT anomaly.alter_rule('fixed', 'no_such_rule');
SELECT anomaly.alter_rule('fixed', 'over_limit');
SELECT anomaly.alter_rule('fixed', 'hot_text');
SELECT anomaly.alter_rule('fixed', evaluate => 'often');
SELECT anomaly.alter_rule('hot', evaluate => 'close');
SELECT anomaly.alter_rule('fixed', parameters => '{}');
SELECT anomaly.alter_rule('free', parameters => 'null');
SELECT name, function, result, evaluate, parameters FROM anomaly.rule WHERE name IN ('fixed', 'free', 'hot') ORDER BY name;
SELECT anomaly.alter_rule('fixed');
SELECT anomaly.alter_rule('fixed', evaluate => 'update');
SELECT anomaly.alter_rule('free', parameters => '{"limit": 95}');
SELECT anomaly.alter_rule('none', 'over_limit', parameters => '{"limit": 70}');
SELECT anomaly.alter_rule('other', 'over_80', 'close', 'null');
CREATE SCHEMA rule_path;
SET search_path = rule_path, public;
SELECT anomaly.alter_rule('hot', evaluate => 'update');
SELECT anomaly.alter_rule('fixed', 'over_80');
RESET search_path;
SELECT name, function, result, evaluate, parameters, search_path FROM anomaly.rule ORDER BY name;

-- disable and enable; a pause after failures ends
SELECT anomaly.disable_rule('no such rule');
SELECT anomaly.enable_rule('no such rule');
UPDATE anomaly.rule SET failures = 7, paused_until = now() + interval '1 hour', last_error = 'bad luck';
SELECT anomaly.disable_rule('free');
SELECT name, enabled, state, failures, paused_until > now() AS paused FROM anomaly.rule_status ORDER BY name;
SELECT anomaly.enable_rule('free');
SELECT anomaly.alter_rule('other');
SELECT name, enabled, state, failures, paused_until > now() AS paused FROM anomaly.rule_status ORDER BY name;
UPDATE anomaly.rule SET evaluations = 4, total_time = '1 second', findings = 3, errors = 2 WHERE name = 'free';
SELECT name, relid, function, evaluate, evaluations, findings, errors, last_error, last_error_at, mean_time
FROM anomaly.rule_status ORDER BY name;

-- the back-test and the plan; there are no rows
SELECT * FROM anomaly.test_rule('no such rule');
SELECT * FROM anomaly.test_rule(NULL);
SELECT * FROM anomaly.test_rule('free');
SELECT * FROM anomaly.test_rule('hot', '2026-01-01', '2026-01-02');
SELECT * FROM anomaly.explain_rule('no such rule');
SELECT bool_or(line ~ 'Named Tuplestore Scan') FROM anomaly.explain_rule('free') line;
SELECT bool_or(line ~ 'Named Tuplestore Scan') FROM anomaly.explain_rule('hot') line;

-- who may
CREATE ROLE regress_rule_user;
SET ROLE regress_rule_user;
SELECT count(*) FROM anomaly.rule_status;
SELECT anomaly.enable_rule('free');
RESET ROLE;
GRANT SELECT ON anomaly.rule_status TO regress_rule_user;
GRANT EXECUTE ON FUNCTION anomaly.enable_rule(text), anomaly.disable_rule(text),
  anomaly.alter_rule(text, text, text, jsonb) TO regress_rule_user;
GRANT SELECT ON host_hot TO regress_rule_user;
SET ROLE regress_rule_user;
SELECT name FROM anomaly.rule_status;
SELECT anomaly.enable_rule('free');
SELECT anomaly.disable_rule('free');
SELECT anomaly.alter_rule('free', 'over_80');
SELECT * FROM anomaly.test_rule('hot');
SELECT anomaly.explain_rule('hot');
RESET ROLE;
GRANT EXECUTE ON FUNCTION anomaly.test_rule(text, timestamptz, timestamptz), anomaly.explain_rule(text)
  TO regress_rule_user;
REVOKE EXECUTE ON FUNCTION hot_text(host_hot) FROM PUBLIC;
SET ROLE regress_rule_user;
SELECT * FROM anomaly.test_rule('free');
SELECT anomaly.explain_rule('free');
SELECT anomaly.explain_rule('hot');
SELECT * FROM anomaly.test_rule('hot');
RESET ROLE;
GRANT EXECUTE ON FUNCTION hot_text(host_hot) TO regress_rule_user;
SET ROLE regress_rule_user;
SELECT * FROM anomaly.test_rule('hot');
RESET ROLE;

-- a function that a rule uses: dropped, replaced, renamed
DROP FUNCTION over_80(host_load);
DROP ROUTINE IF EXISTS over_limit;
DROP FUNCTION over_80(host_load), no_such_function(int);
DO 'BEGIN DROP FUNCTION hot_text; END';
DROP FUNCTION bad_result;
CREATE FUNCTION over_80(h host_load, p jsonb) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';
CREATE FUNCTION over_80(h host_hot) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true';
DROP FUNCTION over_80(host_load, jsonb);
DROP FUNCTION over_80(host_hot);
CREATE OR REPLACE FUNCTION over_80(h host_load) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT h.top > 81';
ALTER FUNCTION over_80 RENAME TO "Over 81";
ALTER ROUTINE over_limit(host_load, jsonb) SET SCHEMA rule_path;
SELECT name, function FROM anomaly.rule ORDER BY name;
ALTER SCHEMA rule_path RENAME TO "rule's path";
SELECT name, function FROM anomaly.rule ORDER BY name;
SET client_min_messages = notice;
BEGIN;
DROP FUNCTION "Over 81" CASCADE;
SELECT name FROM anomaly.rule ORDER BY name;
ROLLBACK;
SELECT name FROM anomaly.rule ORDER BY name;
DROP SCHEMA "rule's path" CASCADE;
SELECT name FROM anomaly.rule ORDER BY name;
DROP TABLE host_hot;
DROP TABLE host_hot CASCADE;
SELECT name FROM anomaly.rule ORDER BY name;
SET client_min_messages = warning;

DROP EXTENSION anomaly CASCADE;
DROP TABLE host_load CASCADE;
DROP ROLE regress_rule_user;
