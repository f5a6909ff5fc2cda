-- tumble and hop: the same windows whatever TimeZone says where they are under a day, local ones above.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS anomaly;
RESET client_min_messages;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, YMD';

-- thirty seconds, on both sides of 1970 and 2000
SELECT t, w.* FROM unnest('{2026-01-01 00:00:29.999999+00, 2026-01-01 00:00:30+00, 1969-12-31 23:59:59+00, 1999-12-31 23:59:45+00}'::timestamptz[]) t,
    tumble(t, interval '30 seconds') w;
-- a size that does not divide the day is counted from 1970
SELECT * FROM tumble(timestamptz '1970-01-01 00:00:00+00', interval '7 hours');
SELECT * FROM tumble(timestamptz '1970-01-02 00:00:00+00', interval '7 hours');
-- the offset moves the origin
SELECT * FROM tumble(timestamptz '2026-01-01 00:00:05+00', interval '1 minute', interval '10 seconds');
SELECT * FROM tumble(timestamptz '2026-01-01 00:00:05+00', interval '1 minute', interval '-10 seconds');
-- no window
SELECT count(*) FROM tumble(NULL::timestamptz, interval '1 minute');
SELECT count(*) FROM tumble(timestamptz 'infinity', interval '1 minute');
SELECT count(*) FROM tumble(timestamptz '-infinity', interval '1 day');

-- days, weeks and months are local: a day of 23 hours, a week, a month with an offset
SET TimeZone = 'Europe/Berlin';
SELECT window_start, window_end, window_end - window_start AS length
FROM tumble(timestamptz '2026-03-29 12:00:00+02', interval '1 day');
SELECT extract(isodow FROM window_start) AS weekday, w.* FROM tumble(timestamptz '2026-07-15 12:00:00+02', interval '7 days') w;
SELECT * FROM tumble(timestamptz '2026-07-01 00:00:00+02', interval '1 month');
SELECT * FROM tumble(timestamptz '2026-06-30 23:59:59+02', interval '3 months') w;
SELECT * FROM tumble(timestamptz '2026-07-03 12:00:00+02', interval '1 month', interval '5 days');
SELECT * FROM tumble(timestamptz '2026-07-03 12:00:00+02', interval '1 year', interval '3 months');
SELECT * FROM tumble(timestamptz '2026-07-03 12:34:00+02', interval '1 hour');

-- hop: a window begins each slide
SELECT * FROM hop(timestamptz '2026-07-03 12:34:56+02', interval '10 seconds', interval '30 seconds');
SELECT * FROM hop(timestamptz '2026-07-03 12:34:56+02', interval '10 seconds', interval '30 seconds', interval '3 seconds');
-- one that does not divide the size, and one that leaves gaps
SELECT * FROM hop(timestamptz '2026-07-03 12:34:56+02', interval '20 seconds', interval '30 seconds');
SELECT * FROM hop(timestamptz '2026-07-03 12:34:50+02', interval '20 seconds', interval '30 seconds');
SELECT * FROM hop(timestamptz '2026-07-03 12:34:09+02', interval '30 seconds', interval '10 seconds');
SELECT * FROM hop(timestamptz '2026-07-03 12:34:10+02', interval '30 seconds', interval '10 seconds');
-- the slide equal to the size is tumble
SELECT * FROM hop(timestamptz '2026-07-03 12:34:56+02', interval '1 hour', interval '1 hour');
SELECT window_start, window_end, window_end - window_start AS length
FROM hop(timestamptz '2026-03-29 12:00:00+02', interval '1 day', interval '1 week');
SELECT * FROM hop(timestamptz '2026-07-03 12:00:00+02', interval '1 month', interval '3 months');
SELECT * FROM hop(timestamptz '2026-07-03 12:00:00+02', interval '1 month', interval '3 months', interval '1 month 9 days');
SELECT count(*) FROM hop(timestamptz 'infinity', interval '1 day', interval '2 days');

-- clocks that are put back over midnight, and a day that was left out
SET TimeZone = 'America/St_Johns';
SELECT * FROM tumble(timestamptz '1988-10-30 01:30:30+00', interval '1 day');
SELECT * FROM tumble(timestamptz '1988-10-30 03:30:00+00', interval '1 day');
SET TimeZone = 'Pacific/Apia';
SELECT * FROM tumble(timestamptz '2011-12-30 09:59:59+00', interval '1 day');
SELECT * FROM tumble(timestamptz '2011-12-30 10:00:00+00', interval '1 day');
SELECT * FROM hop(timestamptz '2011-12-30 10:00:00+00', interval '1 day', interval '2 days');
SET TimeZone = 'Europe/Berlin';

-- without a time zone
SELECT * FROM hop(timestamp '2026-07-03 12:34:56', interval '1 week', interval '2 weeks');
SELECT * FROM tumble(timestamp '2026-07-03 12:34:56', interval '15 minutes');
SELECT * FROM tumble(timestamp '2026-07-03 12:34:56', interval '1 week');
SELECT * FROM tumble(timestamp '1999-12-31 23:00:00', interval '3 months');

-- every time lies in its window, and windows meet
SELECT count(*) AS times,
       bool_and(w.window_start <= t AND t < w.window_end) AS inside,
       bool_and(n.window_start = w.window_end) AS meet
FROM generate_series(timestamptz '2025-01-01 00:00+00', '2027-01-01 00:00+00', interval '7 hours 13 minutes') t,
     unnest('{45 seconds, 5 hours, 1 day, 3 days, 1 week, 1 month, 5 months, 1 year}'::interval[]) size,
     tumble(t, size) w, tumble(w.window_end, size) n;

-- the windows of a time hold it, in every zone of the world, and each start and end names one window
CREATE TEMP TABLE zone_time AS
SELECT name, t FROM pg_timezone_names, unnest('{1883-11-18 17:00:00+00, 1945-04-02 01:30:00+00,
  1988-10-30 01:30:30+00, 2011-12-30 10:00:00+00, 2018-11-04 03:00:00+00, 2026-03-29 01:00:00+00,
  2026-10-25 00:59:59+00, 2037-06-01 00:00:00+00, 2600-10-31 01:30:00+00}'::timestamptz[]) t
WHERE name !~ '^posix';
CREATE FUNCTION pg_temp.odd_windows(zone text, of text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  odd bigint;
BEGIN
  PERFORM set_config('TimeZone', zone, true);
  EXECUTE format('SELECT count(*) FILTER (WHERE NOT (window_start <= t AND t < window_end)'
    ' OR window_start IS NULL) + count(*) - count(DISTINCT (t, window_start))'
    ' + count(*) - count(DISTINCT (t, window_end))'
    ' FROM zone_time z LEFT JOIN LATERAL %s ON true WHERE name = $1', of) INTO odd USING zone;
  RETURN odd;
END $$;
SELECT sum(pg_temp.odd_windows(name, of))
FROM (SELECT DISTINCT name FROM zone_time) z, unnest('{"tumble(t, ''1 day'')", "tumble(t, ''1 month'')",
  "hop(t, ''1 day'', ''3 days'')"}'::text[]) of;
SET TimeZone = 'Europe/Berlin';

-- errors
SELECT * FROM tumble(timestamptz '2026-01-01', interval '0');
SELECT * FROM tumble(timestamptz '2026-01-01', interval '-1 minute');
SELECT * FROM tumble(timestamptz '2026-01-01', interval '1 month 1 day');
SELECT * FROM tumble(timestamptz '2026-01-01', interval '1 day 1 hour');
SELECT * FROM tumble(timestamptz '2026-01-01', interval '1 day', interval '1 month');
SELECT * FROM tumble(timestamptz '294276-12-31 23:59:59+00', interval '1 year');
SELECT * FROM tumble(timestamptz '2026-01-01', interval '1001 years');
SELECT * FROM tumble(timestamptz '2026-01-01', interval '1 day', interval '400000 days');
SELECT * FROM hop(timestamptz '2026-01-01', interval '0', interval '1 minute');
SELECT * FROM hop(timestamptz '2026-01-01', interval '1 hour', interval '1 day');
SELECT * FROM hop(timestamptz '2026-01-01', interval '1 ms', interval '1 hour');
SELECT * FROM tumble(timestamptz '4714-11-24 00:00:00+00 BC', interval '1 year');

-- who may call it
SELECT proname, provolatile, proparallel, has_function_privilege('public', oid, 'EXECUTE') AS for_all
FROM pg_proc WHERE proname IN ('tumble', 'hop') ORDER BY proname, provolatile;
