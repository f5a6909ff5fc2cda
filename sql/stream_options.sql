-- Options of servers, user mappings, streams and columns: what there is, what is refused, and how.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS anomaly;
RESET client_min_messages;

-- servers
CREATE SERVER broken FOREIGN DATA WRAPPER anomaly_kafka;
CREATE SERVER broken FOREIGN DATA WRAPPER anomaly_kafka OPTIONS (bootstrap_server 'localhost:1');
CREATE SERVER broken FOREIGN DATA WRAPPER anomaly_kafka
    OPTIONS (bootstrap_servers 'localhost:1', sasl_password 'secret');
CREATE SERVER broken FOREIGN DATA WRAPPER anomaly_kafka
    OPTIONS (bootstrap_servers 'localhost:1', security_protocol 'sasl_sll');
CREATE SERVER broken FOREIGN DATA WRAPPER anomaly_kafka
    OPTIONS (bootstrap_servers 'localhost:1', security_protocol 'sasl_ssl');
CREATE SERVER broken FOREIGN DATA WRAPPER anomaly_kafka
    OPTIONS (bootstrap_servers 'localhost:1', security_protocol 'sasl_ssl', sasl_mechanism 'GSSAPI');
CREATE SERVER broken FOREIGN DATA WRAPPER anomaly_kafka
    OPTIONS (bootstrap_servers 'localhost:1', socket_keepalive_enable 'maybe');
-- (the words of the detail are the client library's and differ between its versions)
\set VERBOSITY sqlstate
CREATE SERVER broken FOREIGN DATA WRAPPER anomaly_kafka
    OPTIONS (bootstrap_servers 'localhost:1', fetch_max_bytes 'much');
\set VERBOSITY default
CREATE SERVER broken FOREIGN DATA WRAPPER anomaly_kafka
    OPTIONS (bootstrap_servers 'localhost:1', ssl_key_location '/etc/passwd');
CREATE SERVER broken FOREIGN DATA WRAPPER anomaly_kafka
    OPTIONS (bootstrap_servers 'localhost:1', sasl_kerberos_kinit_cmd 'true');
CREATE SERVER broken FOREIGN DATA WRAPPER anomaly_kafka
    OPTIONS (bootstrap_servers 'localhost:1', nothing_like_it '1');
CREATE SERVER nowhere FOREIGN DATA WRAPPER anomaly_kafka
    OPTIONS (bootstrap_servers 'localhost:1', ssl_ca_location '/nonexistent/ca.pem');
DROP SERVER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER anomaly_kafka OPTIONS (bootstrap_servers 'localhost:1');

-- a file of the server is for those who may read it anyway
CREATE ROLE regress_stream_user;
GRANT USAGE ON FOREIGN DATA WRAPPER anomaly_kafka TO regress_stream_user;
SET ROLE regress_stream_user;
CREATE SERVER theirs FOREIGN DATA WRAPPER anomaly_kafka
    OPTIONS (bootstrap_servers 'localhost:1', ssl_ca_location '/nonexistent/ca.pem');
RESET ROLE;

-- user mappings
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS (bootstrap_servers 'localhost:2');
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS (sasl_pasword 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS (sasl_username 'app', sasl_password 'x');

-- streams
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere;
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a b');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', watermark_dealy '1 s');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', watermark_delay 'soon');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', watermark_delay '-1 second');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', idle_timeout '1 month');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', format 'xml');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', timezone 'Mars/Olympus');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', rows '$.metrics');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', rows 'metrics[*]');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', delimiter ';');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', format 'csv', rows '$[*]');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', format 'csv', delimiter '||');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', format 'csv', delimiter '"');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', format 'csv', header 'maybe');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', format 'csv', null 'a,b');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', startup 'erliest');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', startup '2026-13-01');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', startup '{"0": ');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', startup '{"0": -5}');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', startup '{"x": 5}');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', startup '{"0": 1.5}');
CREATE FOREIGN TABLE bad_stream (a int) SERVER nowhere OPTIONS (topic 'a', startup '{"0": [1]}');

-- columns
CREATE FOREIGN TABLE bad_stream (a int OPTIONS (metadata 'ofset')) SERVER nowhere OPTIONS (topic 'a');
CREATE FOREIGN TABLE bad_stream (a int OPTIONS (path 'tags.host')) SERVER nowhere OPTIONS (topic 'a');
CREATE FOREIGN TABLE bad_stream (a int OPTIONS (path '$.a."b')) SERVER nowhere OPTIONS (topic 'a');
CREATE FOREIGN TABLE bad_stream (a int OPTIONS (path '$.a', metadata 'key')) SERVER nowhere OPTIONS (topic 'a');
CREATE FOREIGN TABLE bad_stream (a timestamptz OPTIONS (unit 'minutes')) SERVER nowhere OPTIONS (topic 'a');
CREATE FOREIGN TABLE bad_stream (a timestamptz OPTIONS (unit 'ms', metadata 'timestamp')) SERVER nowhere OPTIONS (topic 'a');
CREATE FOREIGN TABLE bad_stream (a int OPTIONS (pth '$.a')) SERVER nowhere OPTIONS (topic 'a');

-- what is there
CREATE FOREIGN TABLE good_stream (
    hostname    text OPTIONS (path '$.tags."host name"'),
    usage       double precision NOT NULL,
    occurred_at bigint,
    time_ltz    timestamptz GENERATED ALWAYS AS (to_timestamp(occurred_at / 1000.0)) STORED,
    kafka_partition int OPTIONS (metadata 'partition'),
    kafka_offset bigint OPTIONS (metadata 'offset')
) SERVER nowhere OPTIONS (topic 'cpu_load', format 'json', event_time 'time_ltz',
    watermark_delay '10 seconds', idle_timeout '1 minute', max_future '2 days', startup '{"0": 12, "1": 5}');
ALTER FOREIGN TABLE good_stream OPTIONS (SET startup 'latest');
ALTER FOREIGN TABLE good_stream OPTIONS (SET startup '2026-01-01 00:00:00+00');
ALTER FOREIGN TABLE good_stream OPTIONS (DROP topic);
EXPLAIN (COSTS OFF) SELECT usage FROM good_stream WHERE hostname = 'doc';

-- messages are only added, and whoever is not there is named
EXPLAIN (COSTS OFF) INSERT INTO good_stream (usage) VALUES (1);
INSERT INTO good_stream (usage) VALUES (1) ON CONFLICT DO NOTHING;
UPDATE good_stream SET usage = 1;
DELETE FROM good_stream;
SET anomaly.peek_time_limit = '500ms';
\set VERBOSITY sqlstate
SELECT usage FROM good_stream LIMIT 1;
ALTER SERVER nowhere OPTIONS (ADD message_timeout_ms '500');
INSERT INTO good_stream (usage) VALUES (1);
\set VERBOSITY default
ALTER SERVER nowhere OPTIONS (ADD delivery 'twice');
ALTER SERVER nowhere OPTIONS (ADD delivery 'plain');
ALTER SERVER nowhere OPTIONS (ADD delivry 'plain');
CREATE USER MAPPING FOR PUBLIC SERVER nowhere OPTIONS (delivery 'plain');
CREATE FOREIGN TABLE twice_stream (a int, b text OPTIONS (path '$.a')) SERVER nowhere OPTIONS (topic 'a');
INSERT INTO twice_stream VALUES (1);

-- what options and columns say to one another is checked when they are set, too
CREATE FOREIGN TABLE wrong_stream (a text, b int OPTIONS (metadata 'offset')) SERVER nowhere OPTIONS (topic 'a');
CREATE FOREIGN TABLE wrong_stream (a text, b int OPTIONS (metadata 'partition')) SERVER nowhere OPTIONS (topic 'a', event_time 'c');
CREATE FOREIGN TABLE wrong_stream (a text, b int OPTIONS (metadata 'partition')) SERVER nowhere OPTIONS (topic 'a', event_time 'a');
CREATE FOREIGN TABLE right_stream (a text, b int OPTIONS (metadata 'partition'), c timestamptz) SERVER nowhere OPTIONS (topic 'a');
ALTER FOREIGN TABLE right_stream ALTER b OPTIONS (SET metadata 'offset');
ALTER FOREIGN TABLE right_stream OPTIONS (ADD event_time 'd');
ALTER FOREIGN TABLE right_stream OPTIONS (ADD event_time 'c');
ALTER FOREIGN TABLE right_stream ALTER c TYPE text;
ALTER FOREIGN TABLE right_stream DROP COLUMN c;
ALTER FOREIGN TABLE right_stream RENAME COLUMN c TO d;
DO $$ BEGIN
    ALTER FOREIGN TABLE right_stream OPTIONS (SET event_time 'a');
EXCEPTION WHEN fdw_invalid_data_type THEN RAISE NOTICE '%', SQLERRM; END $$;
ALTER FOREIGN TABLE right_stream OPTIONS (SET event_time 'c', SET topic 'b');

-- nobody but its owner and superusers sees a secret
CREATE ROLE regress_stream_viewer;
SET ROLE regress_stream_viewer;
SELECT umoptions FROM pg_user_mappings WHERE srvname = 'nowhere';
SELECT relname, ftoptions::text ~ 'sasl_password' AS shown FROM pg_foreign_table JOIN pg_class c ON c.oid = ftrelid
    WHERE relname = 'right_stream';
RESET ROLE;
DROP ROLE regress_stream_viewer;
CREATE FOREIGN TABLE wrong_unit (a bigint OPTIONS (unit 'ms')) SERVER nowhere OPTIONS (topic 'a');
CREATE FOREIGN TABLE wrong_row (a bigint OPTIONS (path '@.b')) SERVER nowhere OPTIONS (topic 'a');
CREATE FOREIGN TABLE wrong_raw (a text, b text) SERVER nowhere OPTIONS (topic 'a', format 'raw');
CREATE FOREIGN TABLE wrong_csv (a text OPTIONS (path '$.a')) SERVER nowhere OPTIONS (topic 'a', format 'csv');

SET client_min_messages = warning;
DROP SERVER nowhere CASCADE;
REVOKE ALL ON FOREIGN DATA WRAPPER anomaly_kafka FROM regress_stream_user;
DROP ROLE regress_stream_user;
