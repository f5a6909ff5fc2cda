-- Which cluster and database the tables above were filled in. Written when the first stream runs,
-- never by this script: a dump carries it, and the copy knows that it is one.
CREATE TABLE anomaly.cluster_identity (
    system_identifier bigint NOT NULL,
    database          oid NOT NULL,
    PRIMARY KEY (system_identifier, database)
);
COMMENT ON TABLE anomaly.cluster_identity IS 'the cluster and database in which streams run; another one runs none until anomaly.resume() is called';
COMMENT ON COLUMN anomaly.cluster_identity.system_identifier IS 'as in pg_control_system()';
COMMENT ON COLUMN anomaly.cluster_identity.database IS 'oid of the database';
SELECT pg_catalog.pg_extension_config_dump('anomaly.cluster_identity', '');
