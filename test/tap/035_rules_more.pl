# Goal: rules can be changed while the stream runs, are given parameters, are measured, and one that
# fails again and again is left in peace for a while and told of.
# Method: the seed's readings, window by window, so that it is known when each closes.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream create_cpu_tables wait_until
  same_rows worker_pids);
use Broker;
use Test::More;
use Windows;

my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
my $node = cluster('main', 'anomaly.rule_time_limit' => '300ms');
create_server($node, $broker->bootstrap);
create_stream($node, options => { idle_timeout => '1 hour' });
create_cpu_tables($node);
my $windows = Windows->new($broker, per_window => 700, seed => 130);

sub closed { return $windows->closed($_[0]) }

sub sql { my ($sql) = @_; return $node->safe_psql('postgres', $sql) }

sub rule
{
    my ($name, $columns) = @_;
    return sql("SELECT $columns FROM anomaly.rule_status WHERE name = '$name'");
}

# ---- parameters ----

sql(<<'SQL');
CREATE FUNCTION over_limit(c cpu_agg, p jsonb) RETURNS SETOF anomaly.finding LANGUAGE sql STABLE AS
  $$ SELECT p->>'severity', c.usage_avg, (p->>'limit')::float8, p->>'say'
     WHERE c.usage_avg > (p->>'limit')::float8 AND c.hostname = p->>'host' $$;
CREATE FUNCTION says_true(c cpu_agg, p jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS
  $$ BEGIN RETURN c.hostname = p->>'host'; END $$;
CREATE FUNCTION fails_sometimes(c cpu_agg) RETURNS boolean LANGUAGE plpgsql STABLE AS
  $$ BEGIN IF (SELECT fails FROM mood) THEN RAISE EXCEPTION 'in a bad mood'; END IF;
     RETURN true; END $$;
CREATE FUNCTION hot_limit(c cpu_hot, p jsonb) RETURNS text LANGUAGE sql STABLE AS
  $$ SELECT CASE WHEN c.usage > (p->>'limit')::float8 THEN 'hot' END $$;
CREATE TABLE mood (fails boolean);
INSERT INTO mood VALUES (false);
SELECT anomaly.create_rule('doc', 'cpu_agg', 'over_limit',
  parameters => '{"limit": 60, "host": "doc", "severity": "low", "say": "it''s \\ \"over\""}');
SELECT anomaly.create_rule('happy', 'cpu_agg', 'over_limit', 'close',
  '{"limit": 70, "host": "happy", "severity": "high", "say": "$1 %s"}');
SELECT anomaly.create_rule('grumpy', 'cpu_agg', 'says_true', 'close', '{"host": "grumpy"}');
SELECT anomaly.create_rule('hot', 'cpu_hot', 'hot_limit', parameters => '{"limit": 98}');
SELECT anomaly.create_rule('moody', 'cpu_agg', 'fails_sometimes');
SQL
$windows->next($node) for 0 .. 2;
my ($worker) = worker_pids($node, 'stream worker');

for my $case ([ 'doc', 60, 'low', q{it''s \ "over"} ], [ 'happy', 70, 'high', '$1 %s' ])
{
    my ($host, $limit, $severity, $say) = @$case;
    same_rows($node,
        q{SELECT series->>'hostname', series->>'cpu', window_start, severity, value, threshold,}
          . " message FROM anomaly.finding_log WHERE rule = '$host'",
        "SELECT hostname, cpu, window_start, '$severity', usage_avg, ${limit}::float8, '$say'"
          . " FROM cpu_agg WHERE hostname = '$host' AND usage_avg > $limit AND " . closed(0),
        "one function, with the parameters of $host");
}
same_rows($node,
    q{SELECT series->>'cpu', window_start FROM anomaly.finding_log WHERE rule = 'grumpy'},
    q{SELECT cpu, window_start FROM cpu_agg WHERE hostname = 'grumpy' AND } . closed(0),
    'and a boolean one');
same_rows($node, q{SELECT message FROM anomaly.finding_log WHERE rule = 'hot'},
    q{SELECT 'hot' FROM cpu_hot WHERE usage > 98}, 'and of a filter');

# ---- figures ----

my $closings = rule('doc', 'evaluations');
cmp_ok($closings, '>=', 2, 'evaluated for each closing');
cmp_ok($closings, '<', rule('hot', 'evaluations') + 1, 'and not when nothing closes');
is(rule('doc', 'findings'), sql(q{SELECT count(*) FROM anomaly.finding_log WHERE rule = 'doc'}),
    'findings are counted');
is(sql(q{SELECT count(*) FROM anomaly.rule_status WHERE mean_time > '0' AND mean_time < '300 ms'
    AND state = 'running' AND errors = 0}), '5', 'all take their time, and run');

# ---- changes act at once ----

sql(q{SELECT anomaly.disable_rule('happy');
      SELECT anomaly.alter_rule('doc',
        parameters => '{"limit": 0, "host": "dopey", "severity": "new"}');
      SELECT anomaly.alter_rule('grumpy', evaluate => 'update',
        parameters => '{"host": "sneezy"}')});
my $before = rule('happy', 'evaluations');
$windows->next($node) for 3 .. 4;
same_rows($node, q{SELECT series->>'cpu', window_start, value FROM anomaly.finding_log
      WHERE rule = 'doc' AND severity = 'new'},
    q{SELECT cpu, window_start, usage_avg FROM cpu_agg WHERE hostname = 'dopey' AND } . closed(2),
    'new parameters act on the next window');
same_rows($node, q{SELECT series->>'cpu', window_start FROM anomaly.finding_log
      WHERE rule = 'grumpy' AND series->>'hostname' = 'sneezy'},
    "SELECT cpu, window_start FROM cpu_agg WHERE hostname = 'sneezy'"
      . " AND window_start >= " . $windows->start(3),
    'on update from then on');
is(rule('happy', 'evaluations'), $before, 'a rule that is disabled is not evaluated');
is(rule('happy', 'state'), 'disabled', 'and says so');
sql(q{SELECT anomaly.enable_rule('happy')});
$windows->next($node);
same_rows($node, q{SELECT series->>'cpu', window_start FROM anomaly.finding_log WHERE rule = 'happy'
      AND window_start >= } . $windows->start(2),
    q{SELECT cpu, window_start FROM cpu_agg WHERE hostname = 'happy' AND usage_avg > 70 AND }
      . closed(4),
    'enabled again it looks at what closes then');

# ---- who changes a rule and does not commit stops nobody ----

my $session = $node->background_psql('postgres', on_error_die => 1);
$session->query_safe(q{BEGIN; SELECT anomaly.alter_rule('doc', parameters => '{"limit": 100}')});
$windows->next($node);
$session->query_safe('ROLLBACK');
$session->quit;

# ---- the function has another name, another body, and is gone for a while ----

sub found_by_free
{
    my ($name) = @_;
    my $replaced = $windows->start($windows->last - 1);
    return same_rows($node,
        q{SELECT series->>'cpu', window_start, message FROM anomaly.finding_log
          WHERE rule = 'free'},
        q{SELECT cpu, window_start, 'one' FROM cpu_agg WHERE hostname = 'doc' AND } . closed(6)
          . qq{ AND window_start < $replaced UNION ALL SELECT cpu, window_start, 'two'
               FROM cpu_agg WHERE hostname = 'doc' AND window_start = $replaced},
        $name);
}

my $body = q{(c cpu_agg) RETURNS text LANGUAGE sql STABLE AS
  $$ SELECT CASE WHEN c.hostname = 'doc' THEN '%s' END $$};
is($windows->last, 6, 'window 6 is open');
sql('CREATE FUNCTION free' . sprintf($body, 'one')
      . q{; SELECT anomaly.create_rule('free', 'cpu_agg', 'free')});
$windows->next($node);
sql('ALTER FUNCTION free RENAME TO freed');
$windows->next($node);
sql('CREATE OR REPLACE FUNCTION freed' . sprintf($body, 'two'));
$windows->next($node);
found_by_free('replaced, it acts at once');
sql('CREATE OR REPLACE FUNCTION freed' . sprintf($body, 'three')
      . q{; CREATE SCHEMA away; ALTER FUNCTION freed SET SCHEMA away;
          ALTER SCHEMA away RENAME TO far_away});
$windows->next($node);
is(sql(q{SELECT count(*) FROM anomaly.finding_log WHERE rule = 'free' AND message = 'three'}), '5',
    'in another schema, too');
# As after a dump that was restored without the function.
sql(q{UPDATE anomaly.rule SET function = 'public.lost' WHERE name = 'free';
      SELECT anomaly.enable_rule('free')});
$windows->next($node);
like(rule('free', 'last_error'), qr/^function public.lost\(cpu_agg\) does not exist$/,
    'without its function a rule fails');
sql('CREATE FUNCTION lost' . sprintf($body, 'found'));
$windows->next($node);
is(rule('free', 'state'), 'running', 'and goes on when it is back');
sql('DROP FUNCTION lost CASCADE');
is(rule('free', 'count(*)'), '0', 'dropped with its function');

# ---- the back-test says what would have been found, and writes nothing ----

my $found = q{series, window_start, window_end, severity, value, threshold, message};
my $span = $windows->start(1);
sql(q{SELECT anomaly.create_rule('trial', 'cpu_agg', 'over_limit',
        parameters => '{"limit": 50, "host": "doc", "severity": "try", "say": "x"}');
      SELECT anomaly.disable_rule('trial')});
same_rows($node,
    "SELECT $found FROM anomaly.test_rule('trial', $span, $span + interval '1 minute')",
    q{SELECT jsonb_build_object('hostname', hostname, 'cpu', cpu), window_start, window_end,
        'try', usage_avg, 50::float8, 'x' FROM cpu_agg
      WHERE hostname = 'doc' AND usage_avg > 50 AND window_end > } . $span
      . " AND window_end <= $span + interval '1 minute'", 'the back-test of a set');
is(sql('SELECT count(DISTINCT window_end)'
          . " FROM anomaly.test_rule('trial', $span, $span + '1 minute')"), '2',
    'over the windows that end in the span');
same_rows($node, q{SELECT series->>'hostname', message FROM anomaly.test_rule('hot', '2026-01-01')},
    q{SELECT NULL, 'hot' FROM cpu_hot WHERE usage > 98}, 'of a filter: all rows');
same_rows($node, q{SELECT series->>'cpu', window_end FROM anomaly.test_rule('grumpy')},
    q{SELECT cpu, window_end FROM cpu_agg WHERE hostname = 'sneezy'}, 'of a boolean');
sql(q{CREATE FUNCTION scribbles(c cpu_agg) RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO mood VALUES (true); RETURN true; END $$;
      SELECT anomaly.create_rule('scribbler', 'cpu_agg', 'scribbles');
      SELECT anomaly.disable_rule('scribbler')});
my ($rc, $out, $err) = $node->psql('postgres',
    q{BEGIN; SELECT * FROM anomaly.test_rule('scribbler')});
like($err, qr/cannot execute INSERT in a read-only transaction/, 'it may not write');
is(sql(q{BEGIN; SELECT FROM anomaly.test_rule('trial'); UPDATE mood SET fails = fails; COMMIT;
         SELECT count(*) FROM mood}), '1', 'and who calls it may, afterwards');
is(rule('trial', q{evaluations || ' ' || findings}), '0 0', 'nothing is counted');
is(sql(q{SELECT count(*) FROM anomaly.finding_log WHERE rule IN ('trial', 'scribbler')}), '0',
    'nothing is logged');
sql(q{CREATE TABLE limits (hostname text PRIMARY KEY, allowed float8);
      CREATE FUNCTION over_table(c cpu_agg) RETURNS SETOF anomaly.finding LANGUAGE sql STABLE AS
        $$ SELECT 'warning', c.usage_avg, t.allowed, 'over' FROM limits t
           WHERE t.hostname = c.hostname AND c.usage_avg > t.allowed $$;
      SELECT anomaly.create_rule('joined', 'cpu_agg', 'over_table')});
my $plan = sql(q{SELECT * FROM anomaly.explain_rule('joined')});
like($plan, qr/Named Tuplestore Scan/, 'the plan reads the changes');
like($plan, qr/limits/, 'and the function is inlined');

# ---- repeated failure ----

sql('UPDATE mood SET fails = true');
my $errors = 0;
until (rule('moody', 'failures') >= 5 || $errors++ > 20) { $windows->next($node) }
is(rule('moody', q{failures || ' ' || state || ' ' || last_error}), '5 backing off in a bad mood',
    'after five failures in a row it is left in peace');
is(rule('moody', q{paused_until - last_error_at BETWEEN '9 seconds' AND '10 seconds'}), 't',
    'for 10 s');
my $events = q{SELECT count(*), min(message) FROM anomaly.events_since(0, 1000000)
    WHERE kind = 'rule_failing' AND rule = 'moody' AND table_name = 'cpu_agg' AND id IS NOT NULL};
is(sql($events), '1|rule "moody" has failed 5 times in a row: in a bad mood',
    'and there is one event');
my $evaluations = rule('moody', 'evaluations');
$windows->next($node);
is(rule('moody', 'evaluations'), $evaluations, 'not evaluated meanwhile');
wait_until($node, q{SELECT paused_until < clock_timestamp() FROM anomaly.rule WHERE name = 'moody'},
    't', 'the pause ends');
is(rule('moody', 'state'), 'failing', 'and until it has done well it is failing');
$windows->next($node);
is(rule('moody', 'failures'), '6', 'it is tried again');
is(rule('moody', q{paused_until - last_error_at BETWEEN '19 seconds' AND '20 seconds'}), 't',
    'the next pause is twice as long');
sql(q{UPDATE mood SET fails = false; SELECT anomaly.enable_rule('moody')});
$windows->next($node);
is(rule('moody', q{failures || ' ' || state}), '0 running', 'one success resets it');
is(sql(q{SELECT count(*) FILTER (WHERE until IS NULL), max(commits) >= 6,
      max(last_window_end) = } . $windows->start($windows->last - 1) . q{, max(reason)
    FROM anomaly.rule_gap WHERE rule = 'moody'}), '0|t|t|in a bad mood',
    'what it has not looked at is recorded, up to the last window before');
like(sql(q{SELECT message FROM anomaly.events_since(0, 1000000)
    WHERE kind = 'rule_running' AND rule = 'moody'}),
    qr/^rule "moody" runs again; it has not looked at \d+ rows of \d+ commits, of windows that end/,
    'and there is an event');
my ($count) = split /\|/, sql($events);
is($count, '1', 'there was one event for all that');
is(sql('SELECT max(seq) = count(*) AND min(seq) = 1 FROM anomaly.alert_event'), 't',
    'its number is one among the others');
is((worker_pids($node, 'stream worker'))[0], $worker, 'the worker is the same all the time');

# ---- a rule that will not be cancelled ----

sql(q{CREATE FUNCTION swallows(c cpu_agg) RETURNS boolean LANGUAGE plpgsql STABLE AS
        $$ BEGIN LOOP
             BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN NULL; END;
           END LOOP; END $$;
      SELECT anomaly.create_rule('swallower', 'cpu_agg', 'swallows')});
my $moody = rule('moody', 'findings');
$windows->next($node);
is(rule('swallower', q{state || ' ' || errors || ' ' || last_error}),
    'disabled 1 did not end within 300 ms and could not be cancelled: disabled', 'it is disabled');
my ($next_worker) = worker_pids($node, 'stream worker');
isnt($next_worker, $worker, 'its worker has ended');
is(sql(q{SELECT count(*), min(message) FROM anomaly.events_since(0, 1000000)
    WHERE kind = 'rule_failing' AND rule = 'swallower' AND table_name = 'cpu_agg'}),
    '1|rule "swallower" did not end within 300 ms and could not be cancelled: disabled',
    'there is an event');
$windows->next($node);
is((worker_pids($node, 'stream worker'))[0], $next_worker, 'once, and not again');
same_rows($node, q{SELECT series->>'hostname', series->>'cpu', window_start
      FROM anomaly.finding_log WHERE rule = 'moody' AND window_start >= (SELECT max(window_start)
        FROM anomaly.finding_log WHERE rule = 'moody') - interval '30 seconds'},
    q{SELECT hostname, cpu, window_start FROM cpu_agg WHERE } . closed($windows->last - 2),
    'other rules have found all of both windows');
cmp_ok(rule('moody', 'findings'), '>', $moody, 'and counted it');

done_testing();
