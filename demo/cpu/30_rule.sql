\echo '-- Thresholds are an ordinary table; a rule is a SQL function of one row of a continuous table.'
CREATE TABLE cpu_thresholds (hostname text PRIMARY KEY, allowed_top int);
INSERT INTO cpu_thresholds VALUES ('doc', 20), ('grumpy', 30), ('sleepy', 40), ('bashful', 60),
  ('happy', 70), ('sneezy', 80), ('dopey', 90);

CREATE FUNCTION cpu_over_threshold(c cpu_agg) RETURNS SETOF anomaly.finding LANGUAGE sql STABLE AS $$
  SELECT 'warning', c.usage_avg, t.allowed_top::float8,
         format('host:%s CPU: %s avg CPU value:%s over the threshold %s', c.hostname, c.cpu, c.usage_avg, t.allowed_top)
  FROM cpu_thresholds t WHERE t.hostname = c.hostname AND c.usage_avg > t.allowed_top $$;

SELECT anomaly.create_rule('cpu_over_threshold', 'cpu_agg', 'cpu_over_threshold');
