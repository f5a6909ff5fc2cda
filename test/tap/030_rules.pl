# Goal: rules see what is true now, a bad one harms nobody, and a consumer of events misses nothing.
# Method: the seed's readings, window by window, so that it is known when each closes; a LISTEN
# client that comes and goes; a server that loses its power.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream create_cpu_tables create_rule wait_until
  same_rows kill_server worker_pids);
use Broker;
use Listener;
use PostgreSQL::Test::Utils;
use Test::More;
use Windows;

my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
my $node = cluster('main', 'anomaly.rule_time_limit' => '300ms',
    # What is not flushed on purpose is to stay in memory; see the end.
    wal_buffers => '64MB', checkpoint_timeout => '1h', bgwriter_lru_maxpages => 0,
    autovacuum => 'off');
create_server($node, $broker->bootstrap);
create_stream($node, options => { idle_timeout => '1 hour' });
create_cpu_tables($node);
create_rule($node);
my $windows = Windows->new($broker, per_window => 2100, seed => 30);

sub closed { return $windows->closed($_[0]) }

my $batch_columns = 'c.hostname, c.cpu, c.window_start, c.window_end, f.severity, f.value,'
  . ' f.threshold, f.message';

# Passes when the log has what the rule says of the closed windows from number $from on, once each.
sub found_as_in_batch
{
    my ($from, $name) = @_;
    return same_rows($node,
        q{SELECT series->>'hostname', series->>'cpu', window_start, window_end, severity, value,
          threshold, message FROM anomaly.finding_log WHERE rule = 'cpu_over_threshold' AND }
          . closed($from),
        "SELECT $batch_columns FROM cpu_agg c, cpu_over_threshold(c) f WHERE " . closed($from),
        $name);
}

sub per_window
{
    return q{SELECT string_agg(n || ' ' || w, ', ' ORDER BY n) FROM (
      SELECT n, count(*) AS w FROM (
        SELECT count(*) AS n FROM anomaly.finding_log
        WHERE rule = 'cpu_over_threshold' AND } . closed($_[0]) . q{ GROUP BY window_start) q
      GROUP BY n) q};
}

sub hosts
{
    return q{SELECT string_agg(h, ' ' ORDER BY h) FROM (
      SELECT DISTINCT series->>'hostname' AS h FROM anomaly.finding_log
      WHERE rule = 'cpu_over_threshold' AND } . closed($_[0]) . ') q';
}

# ---- the seed's thresholds ----

$windows->next($node) for 0 .. 3;
is($node->safe_psql('postgres', per_window(0)), '30 3', '30 findings in each of three windows');
is($node->safe_psql('postgres', hosts(0)), 'bashful doc grumpy happy sleepy sneezy',
    'six hosts, and never dopey');
found_as_in_batch(0, 'findings are what the rule says of the closed windows');
my ($worker) = worker_pids($node, 'stream worker');

# ---- thresholds are live ----

my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM anomaly.finding_log');
$node->safe_psql('postgres', q{UPDATE cpu_thresholds SET allowed_top =
    CASE hostname WHEN 'dopey' THEN 10 ELSE 200 END WHERE hostname IN ('dopey', 'doc')});
$windows->next($node) for 4 .. 5;
is($node->safe_psql('postgres', per_window(3)), '30 2', 'again 30 findings a window');
is($node->safe_psql('postgres', hosts(3)), 'bashful dopey grumpy happy sleepy sneezy',
    'from the next window on dopey, and doc no more');
found_as_in_batch(3, 'as the new thresholds say');
is($node->safe_psql('postgres', "SELECT count(*) FROM anomaly.finding_log WHERE "
        . "window_start < " . $windows->start(3)), $before,
    'what was found before stays as it was');
is((worker_pids($node, 'stream worker'))[0], $worker, 'no restart');

# ---- rules of every kind, good and bad ----

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE scribble (what text);
CREATE SEQUENCE counter;
CREATE FUNCTION says_boolean(c cpu_agg) RETURNS boolean LANGUAGE sql STABLE AS
  $$ SELECT c.usage_avg > 85 $$;
CREATE FUNCTION says_text(c cpu_agg) RETURNS text LANGUAGE plpgsql STABLE AS
  $$ BEGIN IF c.usage_max > 99.5 THEN RETURN c.hostname || ' peaks'; END IF; RETURN NULL; END $$;
CREATE FUNCTION says_one(c cpu_agg) RETURNS anomaly.finding LANGUAGE sql STABLE AS
  $$ SELECT CASE WHEN c.usage_avg > 85
     THEN ROW('info', c.usage_avg, 85, 'one')::anomaly.finding END $$;
CREATE FUNCTION says_several(c cpu_agg) RETURNS SETOF anomaly.finding LANGUAGE sql STABLE AS
  $$ SELECT 'info', n::float8, NULL::float8, 'part ' || n FROM generate_series(1, 3) n
     WHERE c.hostname = 'happy' $$;
CREATE FUNCTION raises(c cpu_agg) RETURNS boolean LANGUAGE plpgsql STABLE AS
  $$ BEGIN IF c.hostname = 'happy' THEN RAISE EXCEPTION 'no luck with %', c.hostname; END IF;
     RETURN true; END $$;
CREATE FUNCTION sleeps(c cpu_agg) RETURNS boolean LANGUAGE sql AS
  $$ SELECT pg_sleep(3600) IS NOT NULL $$;
CREATE FUNCTION writes(c cpu_agg) RETURNS boolean LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO scribble VALUES (c.hostname); RETURN true; END $$;
CREATE FUNCTION counts(c cpu_agg) RETURNS boolean LANGUAGE plpgsql AS
  $$ BEGIN PERFORM set_config('transaction_read_only', 'off', true); PERFORM nextval('counter');
     RETURN true; END $$;
CREATE FUNCTION overdoes(c cpu_agg) RETURNS SETOF anomaly.finding LANGUAGE sql STABLE AS
  $$ SELECT 'info', n::float8, 0::float8, 'much' FROM generate_series(1, 400) n $$;
CREATE FUNCTION hot_text(c cpu_hot) RETURNS text LANGUAGE sql STABLE AS
  $$ SELECT CASE WHEN c.usage > 99 THEN c.hostname || ' is hot' END $$;
SELECT anomaly.create_rule(f, 'cpu_agg', f) FROM unnest('{counts, overdoes, raises, says_boolean,
  says_one, says_several, says_text, sleeps, writes}'::text[]) f;
SELECT anomaly.create_rule('a_boolean_on_update', 'cpu_agg', 'says_boolean', 'update');
SELECT anomaly.create_rule('hot_text', 'cpu_hot', 'hot_text');
SQL
my ($rc, $out, $err) = $node->psql('postgres',
    q{SELECT anomaly.create_rule('x', 'cpu_hot', 'hot_text', 'close')});
like($err, qr/"cpu_hot" has no windows that could close/, 'a filter has nothing that closes');
# From the window on that is open now: 5 closes with the readings of 6.
my $first_hot = $node->safe_psql('postgres', 'SELECT count(*) FROM cpu_hot');
$windows->next($node) for 6 .. 8;
is($node->safe_psql('postgres', per_window(5)), '30 3', 'the rule among bad ones finds all');
found_as_in_batch(5, 'exactly as before');

for my $case (
    [ says_boolean => 'usage_avg > 85', 'NULL::text' ],
    [ says_text => 'usage_max > 99.5', "hostname || ' peaks'" ],
    [ says_one => 'usage_avg > 85', "'one'" ])
{
    my ($rule, $condition, $message) = @$case;
    same_rows($node,
        q{SELECT series->>'hostname', series->>'cpu', window_start, message}
          . " FROM anomaly.finding_log WHERE rule = '$rule'",
        "SELECT hostname, cpu, window_start, $message FROM cpu_agg"
          . " WHERE $condition AND " . closed(5),
        $rule);
}
same_rows($node,
    q{SELECT series->>'cpu', window_start, value, message FROM anomaly.finding_log
      WHERE rule = 'says_several'},
    q{SELECT cpu, window_start, n::float8, 'part ' || n FROM cpu_agg, generate_series(1, 3) n
      WHERE hostname = 'happy' AND } . closed(5), 'a set of findings, each once');
# Readings of window 8 were seen, though it is open.
same_rows($node,
    q{SELECT series->>'hostname', series->>'cpu', window_start FROM anomaly.finding_log
      WHERE rule = 'a_boolean_on_update' AND window_end > anomaly.watermark('cpu_agg')
        AND (series->>'hostname', series->>'cpu', window_start) IN
          (SELECT hostname, cpu, window_start FROM cpu_agg WHERE usage_avg > 85)},
    q{SELECT hostname, cpu, window_start FROM cpu_agg
      WHERE usage_avg > 85 AND window_end > anomaly.watermark('cpu_agg')},
    'on update: what is over in an open window was found, once');
same_rows($node,
    q{SELECT series, message FROM anomaly.finding_log WHERE rule = 'hot_text'
        AND kafka_partition IS NOT NULL AND kafka_offset IS NOT NULL AND window_start IS NULL},
    qq{SELECT '{}'::jsonb, hostname || ' is hot' FROM cpu_hot WHERE usage > 99
        AND time_ltz >= } . $windows->start(6), 'a rule on the filter');

for my $case (
    [ counts => qr/cannot set transaction read-write mode|read-only transaction/ ],
    [ raises => qr/^no luck with happy$/ ],
    [ sleeps => qr/did not end within 300 ms/ ],
    [ writes => qr/cannot execute INSERT in a read-only transaction/ ])
{
    my ($rule, $error) = @$case;
    my ($findings, $errors, $when, $text) = split /\|/, $node->safe_psql('postgres',
        'SELECT findings, errors, last_error_at IS NOT NULL, last_error FROM anomaly.rule'
          . " WHERE name = '$rule'");
    is($findings, '0', "$rule finds nothing");
    cmp_ok($errors, '>=', 3, "$rule: errors are counted");
    is($when, 't', "$rule: with their time");
    like($text, $error, "$rule: the error is recorded");
}
# 35 groups of each of three windows, 400 things in each.
is($node->safe_psql('postgres', q{SELECT findings / evaluations || ' ' || dropped / evaluations
        || ' ' || errors || ' ' || state FROM anomaly.rule_status WHERE name = 'overdoes'}),
    '10000 4000 0 running', 'of what one finds in a commit so much is written, the rest counted');
is($node->safe_psql('postgres', 'SELECT count(*) FROM scribble'), '0', 'nothing was written');
is($node->safe_psql('postgres', 'SELECT is_called FROM counter'), 'f', 'nothing was counted');
is($node->safe_psql('postgres', q{SELECT count(*) FROM anomaly.finding_log f
    LEFT JOIN anomaly.rule r ON r.name = f.rule WHERE r.errors > 0}), '0',
    'what is bad left no findings');
is($node->safe_psql('postgres', q{SELECT count(*) FROM anomaly.rule r WHERE findings <>
    (SELECT count(*) FROM anomaly.finding_log f WHERE f.rule = r.name)
    AND name <> 'a_boolean_on_update'}),
    '0', 'each rule counts its findings');
is((worker_pids($node, 'stream worker'))[0], $worker, 'the worker is the same all the time');
is($node->safe_psql('postgres',
        q{SELECT string_agg(DISTINCT state, ' ') FROM anomaly.table_status}), 'running',
    'no table has failed');

# A rule that cannot be cancelled is the worst: it catches that, too.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION swallows(c cpu_agg) RETURNS boolean LANGUAGE plpgsql AS $$
  BEGIN
    LOOP
      BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN NULL; END;
    END LOOP;
  END $$;
SELECT anomaly.drop_rule(f) FROM unnest('{counts, overdoes, raises, sleeps, writes}'::text[]) f;
SELECT anomaly.create_rule('swallows', 'cpu_agg', 'swallows');
SQL
$windows->next($node);
is($node->safe_psql('postgres', per_window(8)), '30 1',
    'a rule that swallows its limit holds nobody');
like($node->safe_psql('postgres', q{SELECT last_error FROM anomaly.rule WHERE name = 'swallows'}),
    qr/did not end within 300 ms and could not be cancelled: disabled/, 'and the error is on it');
$node->safe_psql('postgres', q{SELECT anomaly.drop_rule('swallows')});

# ---- a client that is away for a while ----

my $client = Listener->new($node);
$windows->next($node);
$client->wait;
my $head = q{SELECT seq FROM anomaly.event_head};
$client->wait until $client->{since} == $node->safe_psql('postgres', $head);
# Of what was told late, because much was told shortly before, some may be in the first.
like($_, qr/^\{"v":1,"seq":\d+,"firing":\d+,"resolved":\d+\}$/, 'a notification is a small hint')
  for $client->{payloads}[-1];
# A client may have read events whose own hint is still to come.
my $hint = sub { $client->{payloads}[-1] =~ /"seq":(\d+)/ ? $1 : 0 };
$client->wait until $hint->() >= $client->{since};
is($hint->(), $client->{since}, 'the last one names the last event');
$client->close;
$windows->next($node) for 1 .. 2;
my $later = Listener->new($node, $client->{since});
my $while_away = @{ $later->{events} };
cmp_ok($while_away, '>=', 60, "$while_away events while it was away");
$windows->next($node);
$later->wait until $later->{since} == $node->safe_psql('postgres', $head);
my @seen = (@{ $client->{events} }, @{ $later->{events} });
is(join(' ', map { $_->[0] } @seen), join(' ', 1 .. $later->{since}),
    'each number once, in order, without gaps');
my $all = sub {
    $node->safe_psql('postgres', q{SELECT string_agg(concat_ws(' ', seq, id, coalesce(message, '')),
        ';' ORDER BY seq) FROM anomaly.events_since(0, 1000000) WHERE seq <= } . $_[0]);
};
my $as_seen = sub { join(';', map { join(' ', $_->[0], $_->[1], $_->[2] // '') } @_) };
is($as_seen->(@seen), $all->($later->{since}), 'and they are what the log has');
$later->close;

# ---- what was seen is never forgotten ----

# A notification is a commit as well, which would flush what came before it.
$node->append_conf('postgresql.conf', 'anomaly.notify = off');
$node->reload;
my $start_ms = 1000 * $windows->second($windows->last + 1);
for my $round (1 .. 3)
{
    $broker->start_generate(rate => 3000, seed => 60 + $round, start_ms => $start_ms,
        step_us => 3000);
    $start_ms += 600_000;
    my $reader = Listener->new($node, $seen[-1][0]);
    # Without it, what nobody waits for is not even given to the operating system.
    kill('STOP', $node->safe_psql('postgres',
        q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'}));
    for (1 .. 3 + $round)
    {
        my $before = @{ $reader->{events} };
        $reader->read_new until @{ $reader->{events} } > $before;
    }
    kill_server($node);
    $broker->stop_generate;
    push @seen, @{ $reader->{events} };
    $reader->close;
    $node->start;
    is($as_seen->(@seen), $all->($seen[-1][0]), "round $round: all " . @seen . ' events are there');
}
is($node->safe_psql('postgres',
        'SELECT max(seq) = count(*) AND min(seq) = 1 FROM anomaly.alert_event'), 't',
    'no gaps, no number twice');

done_testing();
