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
SET client_min_messages = warning;
DROP EXTENSION anomaly CASCADE;
