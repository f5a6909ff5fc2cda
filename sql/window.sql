-- tumble: the same windows whatever TimeZone says where they are under a day, local ones above.
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

-- without a time zone
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

-- errors
SELECT * FROM tumble(timestamptz '2026-01-01', interval '0');
SELECT * FROM tumble(timestamptz '2026-01-01', interval '-1 minute');
SELECT * FROM tumble(timestamptz '2026-01-01', interval '1 month 1 day');
SELECT * FROM tumble(timestamptz '2026-01-01', interval '1 day 1 hour');
SELECT * FROM tumble(timestamptz '2026-01-01', interval '1 day', interval '1 month');
SELECT * FROM tumble(timestamptz '294276-12-31 23:59:59+00', interval '1 year');

-- who may call it
SELECT proname, provolatile, proparallel, has_function_privilege('public', oid, 'EXECUTE') AS for_all
FROM pg_proc WHERE proname = 'tumble' ORDER BY provolatile;
