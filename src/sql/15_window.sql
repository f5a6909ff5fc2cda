-- Windows of time, the same over streams and over ordinary tables.

CREATE FUNCTION @extschema@.tumble(
    ts timestamptz, size interval, "offset" interval DEFAULT '0',
    OUT window_start timestamptz, OUT window_end timestamptz)
RETURNS SETOF record LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 1
AS 'MODULE_PATHNAME', 'anomaly_tumble_timestamptz';
COMMENT ON FUNCTION @extschema@.tumble(timestamptz, interval, interval) IS 'the window of this size that ts falls into: one row, none where ts is NULL or infinite; hours and less are counted from 1970-01-01 00:00 UTC, days and weeks from Monday 2000-01-03 and months from 2000-01-01 in the session''s TimeZone';
GRANT EXECUTE ON FUNCTION @extschema@.tumble(timestamptz, interval, interval) TO PUBLIC;

CREATE FUNCTION @extschema@.tumble(
    ts timestamp, size interval, "offset" interval DEFAULT '0',
    OUT window_start timestamp, OUT window_end timestamp)
RETURNS SETOF record LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 1
AS 'MODULE_PATHNAME', 'anomaly_tumble_timestamp';
COMMENT ON FUNCTION @extschema@.tumble(timestamp, interval, interval) IS 'the window of this size that ts falls into: one row, none where ts is NULL or infinite; hours and less are counted from 1970-01-01 00:00, days and weeks from Monday 2000-01-03, months from 2000-01-01';
GRANT EXECUTE ON FUNCTION @extschema@.tumble(timestamp, interval, interval) TO PUBLIC;

CREATE FUNCTION @extschema@.hop(
    ts timestamptz, slide interval, size interval, "offset" interval DEFAULT '0',
    OUT window_start timestamptz, OUT window_end timestamptz)
RETURNS SETOF record LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 5
AS 'MODULE_PATHNAME', 'anomaly_hop_timestamptz';
COMMENT ON FUNCTION @extschema@.hop(timestamptz, interval, interval, interval) IS 'the windows of this size, one beginning each slide, that ts falls into: a row each, by window_start; hours and less are counted from 1970-01-01 00:00 UTC, days and weeks from Monday 2000-01-03 and months from 2000-01-01 in the session''s TimeZone';
GRANT EXECUTE ON FUNCTION @extschema@.hop(timestamptz, interval, interval, interval) TO PUBLIC;

CREATE FUNCTION @extschema@.hop(
    ts timestamp, slide interval, size interval, "offset" interval DEFAULT '0',
    OUT window_start timestamp, OUT window_end timestamp)
RETURNS SETOF record LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 5
AS 'MODULE_PATHNAME', 'anomaly_hop_timestamp';
COMMENT ON FUNCTION @extschema@.hop(timestamp, interval, interval, interval) IS 'the windows of this size, one beginning each slide, that ts falls into: a row each, by window_start; hours and less are counted from 1970-01-01 00:00, days and weeks from Monday 2000-01-03, months from 2000-01-01';
GRANT EXECUTE ON FUNCTION @extschema@.hop(timestamp, interval, interval, interval) TO PUBLIC;
