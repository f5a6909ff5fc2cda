-- The extension as an object: made and dropped, described, granted, set. The server must have
-- anomaly in shared_preload_libraries.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS anomaly CASCADE;
CREATE EXTENSION anomaly;

-- Every object has a comment. (From 17 on, types that come with a table or another type are members
-- as well.)
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'anomaly' AND d.deptype = 'e'
  AND NOT EXISTS (SELECT FROM pg_description n
                  WHERE n.classoid = d.classid AND n.objoid = d.objid AND n.objsubid = 0)
  AND NOT EXISTS (SELECT FROM pg_depend i
                  WHERE i.classid = d.classid AND i.objid = d.objid AND i.deptype = 'i'
                    AND d.classid = 'pg_type'::regclass)
ORDER BY 1;
-- So does every column of a table, view or composite type.
SELECT a.attrelid::regclass AS relation, a.attname AS without_comment
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'anomaly'::regnamespace AND c.relkind IN ('r', 'v', 'c')
  AND a.attnum > 0 AND NOT a.attisdropped AND col_description(a.attrelid, a.attnum) IS NULL
ORDER BY 1, 2;
-- Every table has a primary key, is logged, and is carried by pg_dump.
SELECT c.oid::regclass AS relation
FROM pg_class c, pg_extension e
WHERE e.extname = 'anomaly' AND c.relnamespace = 'anomaly'::regnamespace AND c.relkind = 'r'
  AND NOT (c.relpersistence = 'p' AND c.oid = ANY (e.extconfig)
           AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
ORDER BY 1;
-- What pg_upgrade refuses.
SELECT a.attrelid::regclass AS relation, a.attname, a.atttypid::regtype
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'anomaly'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
  AND a.atttypid IN ('regproc'::regtype, 'regprocedure'::regtype, 'regoper'::regtype,
                     'regoperator'::regtype, 'regconfig'::regtype, 'regdictionary'::regtype,
                     'regnamespace'::regtype);

-- PUBLIC may use the schema and the pure functions, and nothing else.
SELECT has_schema_privilege('public', 'anomaly', 'USAGE') AS usage,
       has_schema_privilege('public', 'anomaly', 'CREATE') AS "create";
SELECT p.oid::regprocedure AS granted_to_public
FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass
JOIN pg_extension e ON d.refobjid = e.oid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'anomaly' AND d.deptype = 'e' AND p.proname NOT IN ('tumble', 'hop', 'first', 'last')
  AND p.proname NOT IN ('first_transition', 'last_transition', 'first_last_final')
  AND has_function_privilege('public', p.oid, 'EXECUTE')
ORDER BY 1;
SELECT c.oid::regclass AS granted_to_public
FROM pg_class c
WHERE c.relnamespace = 'anomaly'::regnamespace AND c.relkind IN ('r', 'v', 'S')
  AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege('public', c.oid, 'USAGE, SELECT, UPDATE')
           ELSE has_table_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') END
ORDER BY 1;

-- Settings: unit, range, who may set them.
SELECT name, boot_val, unit, min_val, max_val, context,
       short_desc <> '' AND (vartype = 'bool' OR extra_desc <> '') AS described
FROM pg_settings WHERE name LIKE 'anomaly.%' ORDER BY name COLLATE "C";
SET anomaly.no_such_setting = 1;
SET anomaly.peek_time_limit = '2s';
SHOW anomaly.peek_time_limit;
RESET anomaly.peek_time_limit;

-- Pause and resume: durable, of the owner, of streams only.
CREATE SERVER extension_test FOREIGN DATA WRAPPER anomaly_kafka
  OPTIONS (bootstrap_servers 'localhost:1');
CREATE FOREIGN TABLE extension_stream (a int) SERVER extension_test OPTIONS (topic 'none', format 'json');
SELECT anomaly.pause('extension_stream');
SELECT stream, state, worker_pid FROM anomaly.stream_status;
SELECT anomaly.resume('extension_stream');
SELECT paused FROM anomaly.stream WHERE stream = 'extension_stream'::regclass;
CREATE TABLE extension_plain (a int);
SELECT anomaly.pause('extension_plain');
SELECT anomaly.watermark('extension_plain');

CREATE ROLE regress_anomaly_user;
SET ROLE regress_anomaly_user;
SELECT anomaly.pause('extension_stream');
SELECT count(*) FROM anomaly.stream_status;
RESET ROLE;
GRANT EXECUTE ON FUNCTION anomaly.pause(regclass), anomaly.watermark(regclass),
                          anomaly.stream_workers(), anomaly.lock_waits(),
                          anomaly.database_is_paused()
  TO regress_anomaly_user;
GRANT SELECT ON anomaly.stream_status TO regress_anomaly_user;
SET ROLE regress_anomaly_user;
SELECT anomaly.pause('extension_stream');
SELECT anomaly.watermark('extension_plain');
-- The view hides streams that the caller may not read.
SELECT count(*) FROM anomaly.stream_status;
RESET ROLE;
GRANT SELECT ON extension_stream TO regress_anomaly_user;
SET ROLE regress_anomaly_user;
SELECT count(*) FROM anomaly.stream_status;
RESET ROLE;

-- The identity is written by a manager that has something to run, never by the script; a foreign
-- one pauses everything until anomaly.resume().
SELECT count(*) FROM anomaly.cluster_identity;
SELECT anomaly.database_is_paused();
INSERT INTO anomaly.cluster_identity VALUES (1, 1);
SELECT anomaly.database_is_paused();
SELECT state FROM anomaly.stream_status;
SELECT anomaly.resume();
SELECT anomaly.database_is_paused();
SELECT i.system_identifier = c.system_identifier AS system, i.database = d.oid AS database
FROM anomaly.cluster_identity i, pg_control_system() c, pg_database d
WHERE d.datname = current_database();

-- Names by which the extension is found.
ALTER SCHEMA anomaly RENAME TO extension_other;
ALTER FOREIGN DATA WRAPPER anomaly_kafka RENAME TO extension_other;

DROP TABLE extension_plain;
DROP EXTENSION anomaly CASCADE;
DROP ROLE regress_anomaly_user;
SELECT count(*) FROM pg_namespace WHERE nspname = 'anomaly';
SELECT count(*) FROM pg_class WHERE relname = 'extension_stream';
CREATE SCHEMA anomaly;
ALTER SCHEMA anomaly RENAME TO extension_other;
DROP SCHEMA extension_other;
