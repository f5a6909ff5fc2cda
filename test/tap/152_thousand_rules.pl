# Goal: a thousand rules on one table that share a function are one query; a bad one among them
# costs only itself; what they find is what a join with their parameters says.
# Method: readings window by window; a join of the parameters with the closed windows is the oracle.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream create_cpu_tables wait_until
  same_rows worker_pids);
use Broker;
use Test::More;
use Windows;

my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
my $node = cluster('main', 'anomaly.rule_time_limit' => '2s');
create_server($node, $broker->bootstrap);
create_stream($node, options => { idle_timeout => '1 hour' });
create_cpu_tables($node);
my $windows = Windows->new($broker, per_window => 350, seed => 200);

sub sql { my ($sql) = @_; return $node->safe_psql('postgres', $sql) }

# Rule n is about one host and one cpu; n is in what it says.
sql(<<'SQL');
CREATE FUNCTION over_limit(c cpu_agg, p jsonb) RETURNS SETOF anomaly.finding LANGUAGE sql STABLE AS
  $$ SELECT 'warning', c.usage_avg, (p->>'limit')::float8, 'rule ' || (p->>'n')
     WHERE c.hostname = p->>'host' AND c.cpu = p->>'cpu'
       AND c.usage_avg > (p->>'limit')::float8 $$;
CREATE TABLE wanted AS SELECT n, jsonb_build_object('n', n, 'limit', 75 + n % 20,
    'host', ('{doc, grumpy, sleepy, bashful, happy, sneezy, dopey}'::text[])[1 + n % 7],
    'cpu', 'cpu' || 1 + n % 5) AS parameters
  FROM generate_series(1, 1000) n;
SELECT anomaly.create_rule('rule ' || n, 'cpu_agg', 'over_limit', 'close', parameters) FROM wanted;
SQL

sub found_all
{
    my ($from, $name, $but) = @_;
    return same_rows($node,
        q{SELECT rule, series->>'hostname', series->>'cpu', window_start, value, threshold, message}
          . ' FROM anomaly.finding_log'
          . " WHERE window_start >= " . $windows->start($from),
        q{SELECT 'rule ' || n, hostname, cpu, window_start, value, threshold, message FROM wanted,}
          . " cpu_agg c, over_limit(c, parameters) WHERE $but AND " . $windows->closed($from),
        $name);
}

$windows->next($node) for 0 .. 2;
my ($worker) = worker_pids($node, 'stream worker');
found_all(0, 'all found, each once', 'true');
is(sql(q{SELECT count(*) FROM anomaly.rule_status WHERE state = 'running' AND errors = 0}), '1000',
    'all run');
my $plan = sql(q{SELECT * FROM anomaly.explain_rule('rule 1')});
unlike($plan, qr/Function Scan/, 'the function is inlined');

# ---- one bad among them ----

sql(q{SELECT anomaly.alter_rule('rule 500',
  parameters => '{"host": "doc", "cpu": "cpu1", "limit": "no number"}')});
$windows->next($node) for 3 .. 4;
my $bad = q{n <> 500};
found_all(2, 'a bad parameter costs only its rule', $bad);
is(sql(q{SELECT string_agg(name || ' ' || errors || ' ' || last_error, ', ')
    FROM anomaly.rule_status WHERE errors > 0}),
    'rule 500 2 invalid input syntax for type double precision: "no number"',
    'which has the error');

# Together with all the others: a rule that has its time.
sql(q{CREATE OR REPLACE FUNCTION over_limit(c cpu_agg, p jsonb) RETURNS SETOF anomaly.finding
      LANGUAGE plpgsql STABLE AS $$ BEGIN
        IF p ? 'sleep' THEN PERFORM pg_sleep(3600); END IF;
        RETURN QUERY SELECT 'warning', c.usage_avg, (p->>'limit')::float8, 'rule ' || (p->>'n')
          WHERE c.hostname = p->>'host' AND c.cpu = p->>'cpu'
            AND c.usage_avg > (p->>'limit')::float8; END $$;
      SELECT anomaly.alter_rule('rule 500', parameters => '{"sleep": 1}')});
$windows->next($node) for 5 .. 6;
found_all(4, 'one that sleeps costs only itself', $bad);
like(sql(q{SELECT last_error FROM anomaly.rule_status WHERE name = 'rule 500'}),
    qr/^did not end within \d+ ms$/, 'and its time');
is(sql(q{SELECT count(*) FROM anomaly.rule_status WHERE errors > 0}), '1', 'it alone has failed');
is((worker_pids($node, 'stream worker'))[0], $worker, 'the worker is the same all the time');

# ---- one that will not be cancelled: nobody knows at once which it is ----

sql(q{CREATE OR REPLACE FUNCTION over_limit(c cpu_agg, p jsonb) RETURNS SETOF anomaly.finding
      LANGUAGE plpgsql STABLE AS $$ BEGIN
        WHILE p ? 'sleep' LOOP
          BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN NULL; END;
        END LOOP;
        RETURN QUERY SELECT 'warning', c.usage_avg, (p->>'limit')::float8, 'rule ' || (p->>'n')
          WHERE c.hostname = p->>'host' AND c.cpu = p->>'cpu'
            AND c.usage_avg > (p->>'limit')::float8; END $$;
      SELECT anomaly.alter_rule('rule 500', parameters => '{"sleep": 1}')});
$windows->next($node);
wait_until($node, q{SELECT state = 'disabled' FROM anomaly.rule_status
    WHERE name = 'rule 500'}, 't', 'it is found out and disabled');
$windows->next($node);
found_all(6, 'and the others have found all', $bad);
is(sql(q{SELECT count(*) FROM anomaly.rule_status WHERE state = 'running'}), '999',
    'they run as before');

done_testing();
