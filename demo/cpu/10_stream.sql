\echo '-- A Kafka topic becomes a stream: a foreign table. Nothing is read yet.'
CREATE EXTENSION anomaly;
CREATE SERVER message_queue FOREIGN DATA WRAPPER anomaly_kafka
  OPTIONS (bootstrap_servers :'bootstrap');
CREATE FOREIGN TABLE cpu_in (
  hostname    text,
  cpu         text,
  usage       double precision,
  occurred_at bigint,
  time_ltz    timestamptz GENERATED ALWAYS AS (to_timestamp(occurred_at / 1000.0)) STORED,
  kafka_partition int    OPTIONS (metadata 'partition'),
  kafka_offset    bigint OPTIONS (metadata 'offset')
) SERVER message_queue
  OPTIONS (topic 'cpu_load_stats_real', format 'json', event_time 'time_ltz',
           watermark_delay '10 seconds', startup 'earliest');

\echo '-- A look into the topic.'
SELECT hostname, cpu, usage, time_ltz, kafka_partition, kafka_offset FROM cpu_in LIMIT 5;
