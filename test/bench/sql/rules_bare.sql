-- The query of one rule over the 35 rows of a window in a plain table: planned once, run often;
-- prints microseconds.
CREATE TABLE batch AS SELECT * FROM cpu_agg WHERE window_start = (SELECT min(window_start) FROM cpu_agg);
ANALYZE batch;
CREATE FUNCTION bare(runs int) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
  start timestamptz;
BEGIN
  FOR i IN 1 .. runs + 10 LOOP
    IF i = 11 THEN start := clock_timestamp(); END IF;
    PERFORM * FROM (SELECT jsonb_build_object('hostname', x.hostname, 'cpu', x.cpu) AS series,
        x.window_start, x.window_end, f.* FROM batch x,
        LATERAL own_500(ROW(x.hostname, x.cpu, x.window_start, x.window_end, x.usage_avg,
          x.usage_max)::cpu_agg) AS f LIMIT 100000) AS q ORDER BY 1, 2, 4;
  END LOOP;
  RETURN extract(epoch FROM clock_timestamp() - start) * 1e6 / runs;
END $$;
SELECT round(bare(20000));
DROP FUNCTION bare(int);
DROP TABLE batch;
