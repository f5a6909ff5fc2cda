-- The queries of 1,000 rules over the 35 rows of a window in a plain table, one after the other:
-- planned once, run often; prints the microseconds of one.
SET client_min_messages = warning;
CREATE TABLE batch AS
  SELECT *, row_number() OVER ()::int AS ordinal, true AS closed, NULL::int AS partition,
    NULL::bigint AS offset_ FROM cpu_agg WHERE window_start = (SELECT min(window_start) FROM cpu_agg);
ANALYZE batch;
DO $do$ BEGIN
  EXECUTE format('CREATE FUNCTION bare(runs int) RETURNS float8 LANGUAGE plpgsql AS $$
    DECLARE
      start timestamptz;
    BEGIN
      FOR i IN 1 .. runs + 10 LOOP
        IF i = 11 THEN start := clock_timestamp(); END IF;
        %s
      END LOOP;
      RETURN extract(epoch FROM clock_timestamp() - start) * 1e6 / runs / 1000;
    END $$', (SELECT string_agg(format(
      'PERFORM * FROM (SELECT 0, x.ordinal, jsonb_build_object(''hostname'', x.hostname::text,
          ''cpu'', x.cpu::text), x.window_start, x.window_end, x.partition, x.offset_, f.severity,
          f.value, f.threshold, f.message FROM batch x,
        LATERAL own_%s(ROW(x.hostname, x.cpu, x.window_start, x.window_end, x.usage_avg,
          x.usage_max)::cpu_agg) AS f WHERE x.closed AND NOT (f.severity IS NULL AND f.value IS NULL
          AND f.threshold IS NULL AND f.message IS NULL) LIMIT 100000) AS q
        ORDER BY 1, 2, 8, 11, 9, 10;', n), '')
      FROM generate_series(1, 1000) n));
END $do$;
SELECT round(bare(30));
DROP FUNCTION bare(int);
DROP TABLE batch;
