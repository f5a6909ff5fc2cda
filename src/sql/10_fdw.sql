-- Streams: foreign tables over Kafka topics.

CREATE FUNCTION anomaly.kafka_fdw_handler() RETURNS fdw_handler
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'anomaly_kafka_fdw_handler';
COMMENT ON FUNCTION anomaly.kafka_fdw_handler() IS 'handler of the foreign-data wrapper anomaly_kafka';
REVOKE ALL ON FUNCTION anomaly.kafka_fdw_handler() FROM PUBLIC;

CREATE FUNCTION anomaly.kafka_fdw_validator(options text[], catalog oid) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'anomaly_kafka_fdw_validator';
COMMENT ON FUNCTION anomaly.kafka_fdw_validator(text[], oid) IS 'validator of the foreign-data wrapper anomaly_kafka';
REVOKE ALL ON FUNCTION anomaly.kafka_fdw_validator(text[], oid) FROM PUBLIC;

CREATE FOREIGN DATA WRAPPER anomaly_kafka
    HANDLER anomaly.kafka_fdw_handler VALIDATOR anomaly.kafka_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER anomaly_kafka IS 'Kafka topics as foreign tables: streams';
