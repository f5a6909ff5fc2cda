-- The judge of 090_random.pl: the same SELECT over a plain table of the good messages.

CREATE TABLE problem (id bigint GENERATED ALWAYS AS IDENTITY, what text);

-- Whether PostgreSQL takes the statement: NULL, or its error.
CREATE FUNCTION attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  RETURN SQLERRM;
END $$;

-- Decodes the messages of table raw_N: the good ones go to plain_N, the others to bad_N.
CREATE FUNCTION decode(n text, fields text, paths text, names text) RETURNS void LANGUAGE plpgsql
SET timezone TO 'UTC' AS $$
DECLARE
  m record;
  j jsonb;
  take text := format('WITH r AS MATERIALIZED (SELECT (jsonb_populate_record(NULL::%s, jsonb_build_object(%s))).*)'
    ' INSERT INTO plain_%s (%s, kafka_partition, kafka_offset, kafka_key)'
    ' SELECT r.*, $2, $3, $4 FROM r RETURNING at', fields, paths, n, names);
  at_time timestamptz;
BEGIN
  FOR m IN EXECUTE format('SELECT * FROM raw_%s r WHERE NOT EXISTS (SELECT FROM plain_%s p WHERE'
      ' p.kafka_partition = r.kafka_partition AND p.kafka_offset = r.kafka_offset)'
      ' ORDER BY kafka_partition, kafka_offset', n, n)
  LOOP
    BEGIN
      j := convert_from(m.message, 'UTF8')::jsonb;
      IF j IS NULL OR jsonb_typeof(j) <> 'object' THEN RAISE EXCEPTION 'no object'; END IF;
      EXECUTE take INTO at_time USING j, m.kafka_partition, m.kafka_offset, m.kafka_key;
      IF at_time IS NULL OR NOT isfinite(at_time) OR at_time > now() + interval '1 day' THEN
        RAISE EXCEPTION 'event time: %', at_time;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      EXECUTE format('INSERT INTO bad_%s VALUES ($1, $2, $3)', n)
        USING m.kafka_partition, m.kafka_offset, SQLERRM;
    END;
  END LOOP;
END $$;

-- Fills table want with the rows of the query (which has %SRC% for its source and %WINDOWS% for its
-- windows) group by group, since in some an expression over aggregates raises: those rows are absent.
CREATE FUNCTION group_by_group(query text, source text, tumble text, condition text, groups text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  g bigint;
BEGIN
  EXECUTE format('CREATE TEMP TABLE part AS SELECT *, dense_rank() OVER (ORDER BY %s) AS part_of'
    ' FROM %s p %s WHERE (%s) IS TRUE ORDER BY kafka_partition, kafka_offset',
    coalesce(groups, '1::int + 0'), source, tumble, condition);
  FOR g IN SELECT DISTINCT part_of FROM part UNION SELECT 1 WHERE groups IS NULL LOOP
    BEGIN
      EXECUTE 'INSERT INTO want ' || replace(replace(query, '%WINDOWS%', ''), '%SRC%',
        format('(SELECT * FROM part WHERE part_of = %s) p', g));
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
  DROP TABLE part;
END $$;

-- What is recorded about a table has to be true.
CREATE FUNCTION check_records(t regclass, plain text, raw text, tumble text, condition text,
  lateness interval) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  l record;
  n bigint;
BEGIN
  FOR l IN SELECT * FROM anomaly.dead_letter d WHERE d.relid = t LIMIT 300 LOOP
    IF attempt(format('SELECT %s FROM (SELECT * FROM %s WHERE kafka_partition = %s AND kafka_offset = %s) p %s'
        ' WHERE (%s) IS TRUE', raw, plain, l.kafka_partition, l.kafka_offset, tumble, condition)) IS NULL THEN
      RETURN NEXT format('dead letter %s/%s does not raise: %s', l.kafka_partition, l.kafka_offset, l.reason);
    END IF;
  END LOOP;
  IF tumble = '' THEN
    SELECT count(*) INTO n FROM anomaly.late_row a WHERE a.relid = t;
    IF n > 0 THEN RETURN NEXT 'late rows without windows'; END IF;
    RETURN;
  END IF;
  -- Only over these messages: others may raise in the condition.
  EXECUTE format('WITH m AS MATERIALIZED (SELECT p.*, a.window_start AS missed, a.window_end AS missed_end'
    ' FROM anomaly.late_row a LEFT JOIN %s p USING (kafka_partition, kafka_offset) WHERE a.relid = $1)'
    ' SELECT count(*) - count(*) FILTER (WHERE w.window_end = missed_end'
    ' AND missed_end + $2 <= anomaly.watermark($1) AND (%s) IS TRUE)'
    ' FROM m LEFT JOIN LATERAL %s w ON w.window_start = missed',
    plain, condition, ltrim(tumble, ', ')) INTO n USING t, lateness;
  IF n > 0 THEN RETURN NEXT n || ' late rows that were not late'; END IF;
END $$;

-- Compares a continuous table with its query. exact: columns to be the same as text, but group keys,
-- which have to be equal: of equal ones (the numerics 0.0 and 0.00) a table shows the form that it saw first, in
-- whatever group; approximate: the others, sums and averages of floats, each with the sum of the absolute
-- values as tol_NAME in want.
-- A sum of real adds up in single precision: 1000 roundings of 6e-8.
CREATE FUNCTION check_rows(t regclass, plain text, query text, tumble text, condition text, groups text,
  key_columns text, exact text, approximate text[], only_if text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  source text := plain;
  whole text := replace(replace(query, '%SRC%', 'src p'), '%WINDOWS%', tumble);
  compared text := concat_ws(', ', nullif(key_columns, ''), format('row(%s)::text', (SELECT string_agg(c, ', ')
    FROM string_to_table(exact, ', ') c WHERE c <> ALL (string_to_array(coalesce(key_columns, ''), ', ')))));
  l record;
  a text;
BEGIN
  EXECUTE format('CREATE TEMP TABLE src AS SELECT p.* FROM %s p WHERE NOT EXISTS (SELECT FROM anomaly.dead_letter a'
    ' WHERE a.relid = $1 AND (a.kafka_partition, a.kafka_offset) = (p.kafka_partition, p.kafka_offset))'
    ' ORDER BY kafka_partition, kafka_offset', source) USING t;
  EXECUTE 'CREATE TEMP TABLE want AS ' || whole || ' WITH NO DATA';
  a := attempt('INSERT INTO want ' || whole);
  IF a IS NOT NULL THEN
    -- A condition without columns raises over no rows, too; that all messages are dead letters is right.
    IF NOT EXISTS (SELECT FROM src) THEN NULL;
    ELSIF key_columns IS NULL THEN RETURN NEXT 'the plain query raises: ' || a;
    ELSE PERFORM group_by_group(query, 'src', tumble, condition, groups);
    END IF;
  END IF;
  IF only_if IS NOT NULL THEN EXECUTE format('DELETE FROM want WHERE NOT (%s)', only_if); END IF;
  FOR l IN EXECUTE format('WITH g AS MATERIALIZED (SELECT %1$s FROM %2$s), w AS MATERIALIZED (SELECT %1$s FROM want)'
    ' (SELECT ''unexpected: '' || x AS r FROM (TABLE g EXCEPT ALL TABLE w) x LIMIT 3) UNION ALL'
    ' (SELECT ''missing: '' || x FROM (TABLE w EXCEPT ALL TABLE g) x LIMIT 3)', compared, t)
  LOOP RETURN NEXT l.r;
  END LOOP;
  FOREACH a IN ARRAY approximate LOOP
    FOR l IN EXECUTE format('SELECT format(''%1$s: %%s, wanted %%s'', g.%1$s, w.%1$s) AS r FROM %2$s g JOIN want w'
      ' ON (SELECT row(%3$s)::text FROM (SELECT g.*) q) = (SELECT row(%3$s)::text FROM (SELECT w.*) q)'
      ' WHERE g.%1$s::text IS DISTINCT FROM w.%1$s::text AND (abs(g.%1$s - w.%1$s) <= greatest(w.tol_%1$s, 1e-290)'
      ' * CASE WHEN pg_typeof(g.%1$s) = ''real''::regtype THEN 1e-4 ELSE 1e-9 END) IS NOT TRUE LIMIT 3',
      a, t, coalesce(nullif(key_columns, ''), '1'))
    LOOP RETURN NEXT l.r;
    END LOOP;
  END LOOP;
  DROP TABLE src, want;
END $$;
