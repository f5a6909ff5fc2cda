-- anomaly.explain: what runs natively and what PostgreSQL evaluates.
CREATE EXTENSION anomaly;
CREATE SERVER explain_queue FOREIGN DATA WRAPPER anomaly_kafka OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE FOREIGN TABLE explain_in (hostname text, usage float8, occurred_at bigint,
  time_ltz timestamptz GENERATED ALWAYS AS (to_timestamp(occurred_at / 1000.0)) STORED)
  SERVER explain_queue OPTIONS (topic 'x', event_time 'time_ltz');
CREATE TABLE explained WITH (anomaly.continuous, anomaly.emit = close) AS
SELECT lower(hostname) AS host, window_end, avg(usage) FILTER (WHERE usage > 80) / max(usage) AS share,
       count(*) AS n
FROM explain_in, tumble(time_ltz, interval '30 seconds', interval '10 seconds')
WHERE usage IS NOT NULL AND hostname ~ '^d' GROUP BY 1, 2 HAVING count(*) > 3;
SELECT anomaly.explain('explained');
CREATE TABLE explained_filter WITH (anomaly.continuous) AS
SELECT hostname, usage * 2 AS twice, upper(hostname) FROM explain_in WHERE usage > 80;
SELECT anomaly.explain('explained_filter');
CREATE TABLE explained_total WITH (anomaly.continuous) AS SELECT hostname, sum(usage) FROM explain_in GROUP BY 1;
SELECT anomaly.explain('explained_total');
SELECT anomaly.explain('explain_in');
DROP TABLE explained, explained_filter, explained_total;
CREATE FOREIGN TABLE explain_values (i int, b bigint, r real, f float8, t text, d date, ts timestamp, z timestamptz)
  SERVER explain_queue OPTIONS (topic 'y', event_time 'z');
CREATE TABLE explained_values WITH (anomaly.continuous) AS
SELECT abs(i) c1, nullif(i, 0) c2, greatest(f, r, i) c3, least(z, ts::timestamptz) c4, f::int c5,
  f::real c6, i::real c7, i::text c8, t::int c9, t::float8 c10, r * r c11,
  floor(f) + ceil(f) + round(f) + trunc(f) + sqrt(f) c12, power(f, 2) c13, ln(f) c14, d + i c15,
  ts::date c16, d::timestamp c17, ts + interval '1 day' c18, z - interval '90 s' c19,
  date_trunc('week', ts) c20, date_trunc('minute', z) c21, length(t) c22, left(t, 2) c23,
  right(t, -1) c24, substr(t, 2) c25, substring(t FROM 2 FOR 3) c26, trim(t) c27, position('a' IN t) c28,
  t || 'x' c29, replace(t, 'a', 'b') c30, lower(t COLLATE "C") c31, i::bool::text c32, t LIKE 'a%\_' c33,
  i IS DISTINCT FROM b c34, t COLLATE "C" < 'b' c35, upper(t COLLATE "POSIX") >= 'B' c36
FROM explain_values WHERE t NOT LIKE '_b' AND i BETWEEN 1 AND 5;
SELECT regexp_replace(line, '.*\(', '(') AS judged, count(*)
FROM regexp_split_to_table(anomaly.explain('explained_values'), '\n') line WHERE line LIKE '%(%' GROUP BY 1 ORDER BY 1;
DROP TABLE explained_values;
-- Sub-selects that choose, name and filter are read as if they were written in place.
CREATE TABLE explained_sub WITH (anomaly.continuous) AS
SELECT v.host, window_end, count(*) AS n
FROM (SELECT lower(i.hostname) AS host, i.at, i.usage FROM
        (SELECT hostname, time_ltz AS at, usage FROM explain_in WHERE usage > 10) i WHERE i.usage < 90) v,
     tumble(v.at, interval '1 minute') w
WHERE v.host <> 'x' GROUP BY v.host, window_end;
SELECT anomaly.explain('explained_sub');
SELECT definition FROM anomaly.continuous_table WHERE relid = 'explained_sub'::regclass;
CREATE TABLE explained_refused WITH (anomaly.continuous) AS
SELECT host FROM (SELECT hostname AS host FROM explain_in GROUP BY hostname) v;
DROP TABLE explained_sub;
SET client_min_messages = warning;
DROP EXTENSION anomaly CASCADE;
