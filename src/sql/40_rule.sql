-- Rules: SQL functions of one row of a continuous table, and what they found.

CREATE TYPE anomaly.finding AS (
    severity  text,
    value     double precision,
    threshold double precision,
    message   text
);
COMMENT ON TYPE anomaly.finding IS 'what a rule function returns: severity, value, threshold it was held against, message for people';
COMMENT ON COLUMN anomaly.finding.severity IS 'how bad: any word, such as warning';
COMMENT ON COLUMN anomaly.finding.value IS 'the value that was judged';
COMMENT ON COLUMN anomaly.finding.threshold IS 'what it was held against';
COMMENT ON COLUMN anomaly.finding.message IS 'a sentence for people';

CREATE TABLE anomaly.rule (
    name           text PRIMARY KEY,
    relid          regclass NOT NULL,
    function       text NOT NULL,
    result         text NOT NULL CHECK (result IN ('boolean', 'text', 'finding')),
    evaluate       text NOT NULL CHECK (evaluate IN ('close', 'update')),
    search_path    text NOT NULL,
    parameters     jsonb,
    enabled        boolean NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL DEFAULT pg_catalog.now(),
    evaluations    bigint NOT NULL DEFAULT 0,
    total_time     interval NOT NULL DEFAULT '0',
    findings       bigint NOT NULL DEFAULT 0,
    dropped        bigint NOT NULL DEFAULT 0,
    errors         bigint NOT NULL DEFAULT 0,
    failures       integer NOT NULL DEFAULT 0,
    paused_until   timestamptz,
    last_error     text,
    last_error_at  timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE anomaly.rule IS 'rules: which function looks at the rows of which continuous table';
COMMENT ON COLUMN anomaly.rule.name IS 'its name';
COMMENT ON COLUMN anomaly.rule.relid IS 'the continuous table';
COMMENT ON COLUMN anomaly.rule.function IS 'the function, qualified and quoted';
COMMENT ON COLUMN anomaly.rule.result IS 'what the function returns: boolean, text (NULL: fine) or finding';
COMMENT ON COLUMN anomaly.rule.evaluate IS 'close: when a window is final; update: on every change of a row';
COMMENT ON COLUMN anomaly.rule.search_path IS 'the search_path in force when it was created: the function is run under it';
COMMENT ON COLUMN anomaly.rule.parameters IS 'what the function is given as its second argument, NULL: it takes the row alone';
COMMENT ON COLUMN anomaly.rule.enabled IS 'whether it is evaluated';
COMMENT ON COLUMN anomaly.rule.created_at IS 'when it was created';
COMMENT ON COLUMN anomaly.rule.evaluations IS 'commits it was evaluated in so far';
COMMENT ON COLUMN anomaly.rule.total_time IS 'time that took';
COMMENT ON COLUMN anomaly.rule.findings IS 'findings so far';
COMMENT ON COLUMN anomaly.rule.dropped IS 'findings beyond the 10,000 of one commit, which were not written';
COMMENT ON COLUMN anomaly.rule.errors IS 'evaluations that failed so far';
COMMENT ON COLUMN anomaly.rule.failures IS 'evaluations that failed in a row, the last one included';
COMMENT ON COLUMN anomaly.rule.paused_until IS 'after repeated failure: it is not evaluated before this time';
COMMENT ON COLUMN anomaly.rule.last_error IS 'the last error';
COMMENT ON COLUMN anomaly.rule.last_error_at IS 'and when';

CREATE TABLE anomaly.finding_log (
    id               uuid PRIMARY KEY,
    rule             text NOT NULL,
    table_name       text NOT NULL,
    series           jsonb NOT NULL,
    window_start     timestamptz,
    window_end       timestamptz,
    kafka_partition  integer,
    kafka_offset     bigint,
    severity         text,
    value            double precision,
    threshold        double precision,
    message          text,
    found_at         timestamptz NOT NULL DEFAULT pg_catalog.now()
);
CREATE INDEX finding_log_rule_found ON anomaly.finding_log (rule, found_at);
CREATE INDEX finding_log_found ON anomaly.finding_log (found_at);
CREATE INDEX finding_log_window ON anomaly.finding_log (window_end);
CREATE INDEX finding_log_series ON anomaly.finding_log USING gin (series jsonb_path_ops);
COMMENT ON TABLE anomaly.finding_log IS 'what rules found: once for each rule, series, window or message and position in the set; never rewritten';
COMMENT ON COLUMN anomaly.finding_log.id IS 'derived from rule, series, window or message and position: a repeat has the same';
COMMENT ON COLUMN anomaly.finding_log.rule IS 'name of the rule';
COMMENT ON COLUMN anomaly.finding_log.table_name IS 'the continuous table, as it was called then';
COMMENT ON COLUMN anomaly.finding_log.series IS 'labels: the group key of the row';
COMMENT ON COLUMN anomaly.finding_log.window_start IS 'start of the window, NULL where there is none';
COMMENT ON COLUMN anomaly.finding_log.window_end IS 'end of the window';
COMMENT ON COLUMN anomaly.finding_log.kafka_partition IS 'of the message, for rows of a filter';
COMMENT ON COLUMN anomaly.finding_log.kafka_offset IS 'of the message, for rows of a filter';
COMMENT ON COLUMN anomaly.finding_log.severity IS 'as the rule said';
COMMENT ON COLUMN anomaly.finding_log.value IS 'as the rule said';
COMMENT ON COLUMN anomaly.finding_log.threshold IS 'as the rule said';
COMMENT ON COLUMN anomaly.finding_log.message IS 'as the rule said';
COMMENT ON COLUMN anomaly.finding_log.found_at IS 'when it was found';

CREATE TABLE anomaly.finding_state (
    finding       uuid PRIMARY KEY REFERENCES anomaly.finding_log ON DELETE CASCADE,
    relid         regclass NOT NULL,
    rule          text NOT NULL,
    series        jsonb NOT NULL,
    window_start  timestamptz,
    window_end    timestamptz,
    standing      boolean NOT NULL DEFAULT true,
    turns         bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE INDEX finding_state_relid ON anomaly.finding_state (relid, window_end);
COMMENT ON TABLE anomaly.finding_state IS 'findings of rules on update, until their window is final: whether they hold now';
COMMENT ON COLUMN anomaly.finding_state.finding IS 'the finding';
COMMENT ON COLUMN anomaly.finding_state.relid IS 'the continuous table';
COMMENT ON COLUMN anomaly.finding_state.rule IS 'name of the rule';
COMMENT ON COLUMN anomaly.finding_state.series IS 'as in the finding';
COMMENT ON COLUMN anomaly.finding_state.window_start IS 'as in the finding';
COMMENT ON COLUMN anomaly.finding_state.window_end IS 'as in the finding';
COMMENT ON COLUMN anomaly.finding_state.standing IS 'whether it held when its row was last looked at';
COMMENT ON COLUMN anomaly.finding_state.turns IS 'how often that has changed since it was first found';

CREATE TABLE anomaly.rule_gap (
    rule              text NOT NULL,
    since             timestamptz NOT NULL,
    until             timestamptz,
    table_name        text NOT NULL,
    commits           bigint NOT NULL,
    rows              bigint NOT NULL,
    first_window_end  timestamptz,
    last_window_end   timestamptz,
    reason            text,
    PRIMARY KEY (rule, since)
) WITH (fillfactor = 50);
COMMENT ON TABLE anomaly.rule_gap IS 'what rules have not looked at, because they failed or were paused: one row from the first evaluation that is missing to the next that is well';
COMMENT ON COLUMN anomaly.rule_gap.rule IS 'name of the rule';
COMMENT ON COLUMN anomaly.rule_gap.since IS 'time of the first evaluation that is missing';
COMMENT ON COLUMN anomaly.rule_gap.until IS 'time of the next one that was well, NULL: there was none so far';
COMMENT ON COLUMN anomaly.rule_gap.table_name IS 'the continuous table, as it was called then';
COMMENT ON COLUMN anomaly.rule_gap.commits IS 'commits in which it was not evaluated, or failed';
COMMENT ON COLUMN anomaly.rule_gap.rows IS 'rows that it would have looked at in them';
COMMENT ON COLUMN anomaly.rule_gap.first_window_end IS 'end of the first window among them, NULL where there is none';
COMMENT ON COLUMN anomaly.rule_gap.last_window_end IS 'end of the last one; anomaly.test_rule says what the rule finds there now';
COMMENT ON COLUMN anomaly.rule_gap.reason IS 'the last error';

CREATE FUNCTION anomaly.create_rule(name text, relid regclass, function text, evaluate text DEFAULT NULL, parameters jsonb DEFAULT NULL) RETURNS void
LANGUAGE c CALLED ON NULL INPUT AS 'MODULE_PATHNAME', 'anomaly_create_rule';
COMMENT ON FUNCTION anomaly.create_rule(text, regclass, text, text, jsonb) IS 'makes a rule: function takes one row of the continuous table, and the parameters where they are given, and returns boolean, text, anomaly.finding or a set of it; evaluate is close (default where there are windows) or update';
REVOKE ALL ON FUNCTION anomaly.create_rule(text, regclass, text, text, jsonb) FROM PUBLIC;

CREATE FUNCTION anomaly.alter_rule(name text, function text DEFAULT NULL, evaluate text DEFAULT NULL, parameters jsonb DEFAULT NULL) RETURNS void
LANGUAGE c CALLED ON NULL INPUT AS 'MODULE_PATHNAME', 'anomaly_alter_rule';
COMMENT ON FUNCTION anomaly.alter_rule(text, text, text, jsonb) IS 'changes a rule, checked as anomaly.create_rule does; NULL leaves a thing as it is, the json null as parameters takes them away; a pause after failures ends';
REVOKE ALL ON FUNCTION anomaly.alter_rule(text, text, text, jsonb) FROM PUBLIC;

CREATE FUNCTION anomaly.enable_rule(name text) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'anomaly_enable_rule';
COMMENT ON FUNCTION anomaly.enable_rule(text) IS 'lets a rule be evaluated from now on; a pause after failures ends';
REVOKE ALL ON FUNCTION anomaly.enable_rule(text) FROM PUBLIC;

CREATE FUNCTION anomaly.disable_rule(name text) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'anomaly_disable_rule';
COMMENT ON FUNCTION anomaly.disable_rule(text) IS 'keeps a rule from being evaluated; what is final by then it will never look at';
REVOKE ALL ON FUNCTION anomaly.disable_rule(text) FROM PUBLIC;

CREATE FUNCTION anomaly.drop_rule(name text) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'anomaly_drop_rule';
COMMENT ON FUNCTION anomaly.drop_rule(text) IS 'drops a rule; what it found stays in anomaly.finding_log';
REVOKE ALL ON FUNCTION anomaly.drop_rule(text) FROM PUBLIC;

CREATE FUNCTION anomaly.test_rule(
    name text, from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL,
    OUT series jsonb, OUT window_start timestamptz, OUT window_end timestamptz, OUT severity text,
    OUT value double precision, OUT threshold double precision, OUT message text)
RETURNS SETOF record
LANGUAGE c CALLED ON NULL INPUT VOLATILE AS 'MODULE_PATHNAME', 'anomaly_test_rule';
COMMENT ON FUNCTION anomaly.test_rule(text, timestamptz, timestamptz) IS 'what a rule finds in the rows that are stored now whose window ends after from_time and not after to_time (NULL: without bound; without windows: in all rows); read-only, as the caller, and nothing is recorded';
REVOKE ALL ON FUNCTION anomaly.test_rule(text, timestamptz, timestamptz) FROM PUBLIC;

CREATE FUNCTION anomaly.explain_rule(name text) RETURNS SETOF text
LANGUAGE c STRICT VOLATILE AS 'MODULE_PATHNAME', 'anomaly_explain_rule';
COMMENT ON FUNCTION anomaly.explain_rule(text) IS 'EXPLAIN of the query that evaluates a rule over the rows of a commit, and how many rules share that; for the table''s owner';
REVOKE ALL ON FUNCTION anomaly.explain_rule(text) FROM PUBLIC;

-- One statement each: all change the same row of pg_extension.
SELECT pg_catalog.pg_extension_config_dump('anomaly.rule', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.finding_log', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.finding_state', '');
SELECT pg_catalog.pg_extension_config_dump('anomaly.rule_gap', '');
