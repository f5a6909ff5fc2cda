-- Prints "equal" when cpu_agg has the rows that PostgreSQL makes of the same messages (averages up
-- to the order of addition) and nothing was late or bad; else how many rows differ.
SELECT CASE WHEN differing = 0 AND rows > 0 AND refused = 0 THEN 'equal' ELSE
  format('%s of %s rows differ, %s messages refused', differing, rows, refused) END
FROM (
  SELECT count(*) AS rows, count(*) FILTER (WHERE (c.usage_max = e.usage_max
    AND c.window_end = e.window_end AND abs(c.usage_avg - e.usage_avg) < 1e-9) IS NOT TRUE)
    AS differing
  FROM cpu_agg c FULL JOIN expected e USING (hostname, cpu, window_start)) d,
  LATERAL (SELECT (SELECT count(*) FROM anomaly.late_row)
    + (SELECT count(*) FROM anomaly.dead_letter) AS refused) r;
