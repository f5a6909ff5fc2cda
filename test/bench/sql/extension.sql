-- One run of the extension: from CREATE TABLE until all that is in the topic is committed.
-- Prints messages and seconds; the stream and its table stay, for what is asked of them next.
CREATE FOREIGN TABLE cpu_in (
  hostname    text,
  cpu         text,
  usage       double precision,
  occurred_at bigint,
  time_ltz    timestamptz GENERATED ALWAYS AS (to_timestamp(occurred_at / 1000.0)) STORED
) SERVER message_queue
  OPTIONS (topic :'topic', format 'json', event_time 'time_ltz', watermark_delay '10 seconds',
           startup 'earliest');
SELECT clock_timestamp() AS begun \gset
CREATE TABLE cpu_agg WITH (anomaly.continuous) AS
SELECT hostname, cpu, window_start, window_end, avg(usage) AS usage_avg, max(usage) AS usage_max
FROM cpu_in, tumble(time_ltz, interval '30 seconds')
GROUP BY hostname, cpu, window_start, window_end;
SELECT anomaly.wait_for_stream('cpu_in', interval '10 minutes') AS all_in \gset
SELECT clock_timestamp() AS done \gset
SELECT sum(o), round(extract(epoch FROM :'done'::timestamptz - :'begun'), 3)
FROM anomaly.table_progress, unnest(next_offsets) o
WHERE relid = 'cpu_agg'::regclass AND :'all_in';
