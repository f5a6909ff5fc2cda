\echo Use "CREATE EXTENSION anomaly" to load this file. \quit

-- Everything of ours lives in the schema anomaly, but for tumble and hop, which belong where the user
-- keeps functions (queries call it unqualified, over streams and over ordinary tables).
CREATE SCHEMA anomaly;
COMMENT ON SCHEMA anomaly IS 'streams, continuous tables, rules, findings and events of the extension anomaly';
GRANT USAGE ON SCHEMA anomaly TO PUBLIC;

-- Fails with a hint unless the library was loaded by shared_preload_libraries; tells the launcher
-- at commit that this database has the extension now.
CREATE FUNCTION anomaly.extension_created() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'anomaly_extension_created';
COMMENT ON FUNCTION anomaly.extension_created() IS 'internal: checks shared_preload_libraries and wakes the launcher';
REVOKE ALL ON FUNCTION anomaly.extension_created() FROM PUBLIC;
SELECT anomaly.extension_created();
