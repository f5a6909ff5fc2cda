CREATE EXTENSION anomaly;
CREATE SERVER bench FOREIGN DATA WRAPPER anomaly_kafka OPTIONS (bootstrap_servers :'bootstrap');
CREATE FOREIGN TABLE cpu_in (
  hostname    text,
  cpu         text,
  usage       double precision,
  occurred_at bigint,
  time_ltz    timestamptz GENERATED ALWAYS AS (to_timestamp(occurred_at / 1000.0)) STORED
) SERVER bench OPTIONS (topic 'cpu_load_stats_real', event_time 'time_ltz', idle_timeout '1 hour');
CREATE TABLE limits (hostname text PRIMARY KEY, allowed float8);
INSERT INTO limits VALUES ('doc', 100), ('grumpy', 100), ('sleepy', 100), ('bashful', 100),
  ('happy', 100), ('sneezy', 100), ('dopey', 100);
ANALYZE limits;
CREATE TABLE ticks (at timestamptz);
CREATE FUNCTION tick() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO ticks VALUES (clock_timestamp()); RETURN NULL; END $$;
