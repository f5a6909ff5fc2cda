-- The server of the broker, and the plain table with the messages that the generator noted.
CREATE EXTENSION anomaly;
CREATE SERVER message_queue FOREIGN DATA WRAPPER anomaly_kafka
  OPTIONS (bootstrap_servers :'bootstrap');
CREATE TABLE expected (hostname text, cpu text, window_start timestamptz, window_end timestamptz,
  usage_avg float8, usage_max float8);
