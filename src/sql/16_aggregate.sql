-- Aggregates by event time, the same over streams and over ordinary tables.

CREATE FUNCTION anomaly.first_transition(state internal, value anyelement, "time" timestamptz) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'anomaly_first_transition';
COMMENT ON FUNCTION anomaly.first_transition(internal, anyelement, timestamptz) IS 'internal: takes a row into the state of anomaly.first';
GRANT EXECUTE ON FUNCTION anomaly.first_transition(internal, anyelement, timestamptz) TO PUBLIC;

CREATE FUNCTION anomaly.last_transition(state internal, value anyelement, "time" timestamptz) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'anomaly_last_transition';
COMMENT ON FUNCTION anomaly.last_transition(internal, anyelement, timestamptz) IS 'internal: takes a row into the state of anomaly.last';
GRANT EXECUTE ON FUNCTION anomaly.last_transition(internal, anyelement, timestamptz) TO PUBLIC;

CREATE FUNCTION anomaly.first_last_final(state internal, value anyelement, "time" timestamptz) RETURNS anyelement
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'anomaly_first_last_final';
COMMENT ON FUNCTION anomaly.first_last_final(internal, anyelement, timestamptz) IS 'internal: the result of anomaly.first and anomaly.last';
GRANT EXECUTE ON FUNCTION anomaly.first_last_final(internal, anyelement, timestamptz) TO PUBLIC;

CREATE AGGREGATE anomaly.first(value anyelement, "time" timestamptz) (
    sfunc = anomaly.first_transition, stype = internal,
    finalfunc = anomaly.first_last_final, finalfunc_extra, parallel = safe);
COMMENT ON AGGREGATE anomaly.first(anyelement, timestamptz) IS 'the value, NULL or not, of the row with the smallest time; of equal times the first row (of a stream: in the order of partition and offset); rows without a time do not count';
GRANT EXECUTE ON FUNCTION anomaly.first(anyelement, timestamptz) TO PUBLIC;

CREATE AGGREGATE anomaly.last(value anyelement, "time" timestamptz) (
    sfunc = anomaly.last_transition, stype = internal,
    finalfunc = anomaly.first_last_final, finalfunc_extra, parallel = safe);
COMMENT ON AGGREGATE anomaly.last(anyelement, timestamptz) IS 'the value, NULL or not, of the row with the largest time; of equal times the last row (of a stream: in the order of partition and offset); rows without a time do not count';
GRANT EXECUTE ON FUNCTION anomaly.last(anyelement, timestamptz) TO PUBLIC;
