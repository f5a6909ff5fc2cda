-- For P5: what rules look up, when each commit was, and how rules and their bare queries are made.
CREATE TABLE limits (hostname text PRIMARY KEY, allowed float8);
INSERT INTO limits VALUES ('doc', 100), ('grumpy', 100), ('sleepy', 100), ('bashful', 100),
  ('happy', 100), ('sneezy', 100), ('dopey', 100);
ANALYZE limits;
CREATE TABLE ticks (at timestamptz DEFAULT clock_timestamp(), took interval);
CREATE FUNCTION tick() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO ticks DEFAULT VALUES; RETURN NULL; END $$;

-- The functions of rules that have one each; no threshold is the same.
CREATE FUNCTION make_functions(count int) RETURNS void LANGUAGE plpgsql AS $make$ BEGIN
  FOR n IN 1 .. count LOOP
    EXECUTE format('CREATE FUNCTION own_%s(c rules_agg) RETURNS SETOF anomaly.finding
      LANGUAGE sql STABLE AS %L', n, 'SELECT ''warning'', c.usage_avg, t.allowed, c.cpu
        FROM limits t WHERE t.hostname = c.hostname AND c.usage_avg > t.allowed + ' || n);
  END LOOP;
END $make$;

CREATE FUNCTION make_own_rules(count int) RETURNS void LANGUAGE plpgsql AS $make$ BEGIN
  PERFORM make_functions(count);
  PERFORM anomaly.create_rule('own ' || n, 'rules_agg', 'own_' || n)
    FROM generate_series(1, count) n;
  CREATE TRIGGER tick AFTER INSERT ON rules_agg EXECUTE FUNCTION tick();
END $make$;

-- What the rules ask, in a trigger: the same queries over the rows of the commit, planned once.
CREATE FUNCTION make_bare_queries(count int) RETURNS void LANGUAGE plpgsql AS $make$ BEGIN
  PERFORM make_functions(count);
  EXECUTE format('CREATE OR REPLACE FUNCTION bare() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      start timestamptz := clock_timestamp();
    BEGIN
      %s
      INSERT INTO ticks (took) VALUES (clock_timestamp() - start);
      RETURN NULL;
    END $$', (SELECT string_agg(format(
      'PERFORM * FROM (SELECT 0, 0, jsonb_build_object(''hostname'', x.hostname::text,
          ''cpu'', x.cpu::text), x.window_start, x.window_end, NULL::int, NULL::bigint, f.severity,
          f.value, f.threshold, f.message FROM changed x,
        LATERAL own_%s(ROW(x.hostname, x.cpu, x.window_start, x.window_end, x.usage_avg,
          x.usage_max)::rules_agg) AS f WHERE NOT (f.severity IS NULL AND f.value IS NULL AND
          f.threshold IS NULL AND f.message IS NULL) LIMIT 100000) AS q
        ORDER BY 1, 2, 8, 11, 9, 10;', n), '') FROM generate_series(1, count) n));
  CREATE TRIGGER bare AFTER INSERT ON rules_agg REFERENCING NEW TABLE AS changed
    EXECUTE FUNCTION bare();
END $make$;

-- Rules that share a function: seven are about hosts that there are.
CREATE FUNCTION make_sharing_rules(count int) RETURNS void LANGUAGE plpgsql AS $make$ BEGIN
  CREATE FUNCTION shared(c rules_agg, p jsonb) RETURNS SETOF anomaly.finding
    LANGUAGE sql STABLE AS $$ SELECT 'warning', c.usage_avg, (p->>'limit')::float8, 'over'
      WHERE c.hostname = p->>'host' AND c.usage_avg > (p->>'limit')::float8 $$;
  PERFORM anomaly.create_rule('shared ' || n, 'rules_agg', 'shared', 'close', jsonb_build_object(
      'limit', 200, 'host', coalesce((ARRAY['doc', 'grumpy', 'sleepy', 'bashful', 'happy',
        'sneezy', 'dopey'])[n], 'host' || n))) FROM generate_series(1, count) n;
  CREATE TRIGGER tick AFTER INSERT ON rules_agg EXECUTE FUNCTION tick();
END $make$;
