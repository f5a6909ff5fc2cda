-- What PostgreSQL does without us: COPY of the messages into a table, then the query over it.
-- Prints messages, seconds and peak memory in kB.
SELECT clock_timestamp() AS begun \gset
CREATE TABLE message (kafka_partition int, kafka_offset bigint, message jsonb);
COPY message FROM :'file' (FORMAT csv, DELIMITER E'\t', QUOTE E'\b');
INSERT INTO expected
SELECT m.hostname, m.cpu, w.window_start, w.window_start + interval '30 seconds', avg(m.usage),
  max(m.usage)
FROM message, jsonb_to_record(message) AS m(hostname text, cpu text, usage float8,
  occurred_at bigint), date_bin('30 seconds', to_timestamp(m.occurred_at / 1000.0),
  'epoch') AS w(window_start)
GROUP BY m.hostname, m.cpu, w.window_start;
SELECT clock_timestamp() AS done \gset
SELECT (SELECT count(*) FROM message), round(extract(epoch FROM :'done'::timestamptz - :'begun'), 3),
  substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s+(\d+)');
DROP TABLE message;
