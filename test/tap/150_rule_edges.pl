# Goal: what a rule on update finds is told once when it begins and once when it ends, through
# kills; with allowed_lateness rules see corrections until the window is final.
# Method: messages one by one, so that each edge is known; then a stream of them with the server
# losing its power, and the final rows as the oracle of what stands.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream create_cpu_tables wait_until wait_for_messages
  same_rows kill_server);
use Broker;
use Listener;
use Test::More;

my $begin = 1_700_000_010;    # a window begins
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 1);
my $node = cluster('main', wal_buffers => '64MB', autovacuum => 'off');
create_server($node, $broker->bootstrap);
create_stream($node, options => { idle_timeout => '1 hour' });

sub sql { my ($sql) = @_; return $node->safe_psql('postgres', $sql) }

my $aggregate = 'SELECT hostname, window_start, window_end, avg(usage) AS usage_avg FROM cpu_in,'
  . " tumble(time_ltz, interval '30 seconds') GROUP BY hostname, window_start, window_end";
sql(<<"SQL");
CREATE TABLE load WITH (anomaly.continuous) AS $aggregate;
CREATE TABLE patient WITH (anomaly.continuous, anomaly.allowed_lateness = '1 minute') AS $aggregate;
CREATE TABLE rather WITH (anomaly.continuous) AS $aggregate HAVING avg(usage) > 50;
CREATE TABLE total WITH (anomaly.continuous) AS
  SELECT hostname, sum(usage) AS usage_sum FROM cpu_in GROUP BY hostname;
CREATE FUNCTION over(r load) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT r.usage_avg > 80';
CREATE FUNCTION over(r patient) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT r.usage_avg > 80';
CREATE FUNCTION over(r total) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT r.usage_sum > 1000';
CREATE FUNCTION seen(r rather) RETURNS text LANGUAGE sql STABLE AS 'SELECT r.hostname';
CREATE FUNCTION steps(r load) RETURNS SETOF anomaly.finding LANGUAGE sql STABLE AS
  \$\$ SELECT 'step', r.usage_avg, s::float8, 'over ' || s FROM generate_series(100, 200, 50) s
     WHERE r.usage_avg > s \$\$;
SELECT anomaly.create_rule('load', 'load', 'over', 'update');
SELECT anomaly.create_rule('steps', 'load', 'steps', 'update');
SELECT anomaly.create_rule('load at last', 'load', 'over');
SELECT anomaly.create_rule('patient', 'patient', 'over', 'update');
SELECT anomaly.create_rule('patient at last', 'patient', 'over');
SELECT anomaly.create_rule('some', 'rather', 'seen', 'update');
SELECT anomaly.create_rule('total', 'total', 'over', 'update');
SQL
my $sent = 0;

# A message, committed before the next one. Second $at after the beginning.
sub reading
{
    my ($host, $usage, $at) = @_;
    my $ms = ($begin + $at) * 1000;
    $broker->produce(qq(0\t$host\t{"hostname":"$host","cpu":"c","usage":$usage,"occurred_at":$ms}));
    $sent++;
    wait_for_messages($node, $_, $sent) for qw(load patient rather total);
    return;
}

# What happened to a rule since the last question: host, window and kind of each event.
my $since = 0;

sub events_of
{
    my ($rule) = @_;
    return sql(qq{SELECT coalesce(string_agg(concat_ws(' ', series->>'hostname',
        (extract(epoch FROM window_start) - $begin)::int, kind), ', ' ORDER BY seq), '')
        FROM anomaly.events_since($since, 1000000) WHERE rule = '$rule'});
}

sub from_now { $since = sql('SELECT coalesce(max(seq), 0) FROM anomaly.alert_event') }

my $client = Listener->new($node);

# ---- begins, ends, begins again ----

reading('a', 90, 1);
is(events_of('load'), 'a 0 finding', 'it begins');
reading('a', 95, 2);
is(events_of('load'), 'a 0 finding', 'it still holds: nothing new');
reading('a', 10, 3);
is(events_of('load'), 'a 0 finding, a 0 finding_ended', 'it ends');
is(events_of('some'), 'a 0 finding', 'the row is still there for HAVING');
reading('a', 5, 4);
is(events_of('load'), 'a 0 finding, a 0 finding_ended', 'and stays so');
reading('a', 0, 5);
is(events_of('some'), 'a 0 finding, a 0 finding_ended', 'a row that HAVING takes away ends it');
reading('a', 900, 6);
is(events_of('load'), 'a 0 finding, a 0 finding_ended, a 0 finding', 'it begins again');
is(events_of('some'), 'a 0 finding, a 0 finding_ended, a 0 finding', 'and so does the row');
is(sql(q{SELECT count(*) FROM anomaly.finding_log WHERE rule = 'load'}), '1',
    'the log has it once');
is(sql(q{SELECT count(DISTINCT id) || ' ' || count(DISTINCT finding) || ' ' || count(*)
    FROM anomaly.events_since(0) WHERE rule = 'load'}), '3 1 3',
    'each event has its own id, all the same finding');
is(sql(q{SELECT id = finding FROM anomaly.events_since(0) WHERE rule = 'load'
    ORDER BY seq LIMIT 1}),
    't', 'the first has the id of the finding');
is(events_of('steps'), join(', ', ('a 0 finding') x 2), 'two steps of a set begin');
reading('a', -300, 7);
is(events_of('steps'), join(', ', ('a 0 finding') x 2, 'a 0 finding_ended'), 'one of them ends');

# ---- a window that closes ----

from_now();
reading('b', 1, 40);
is(events_of('load'), '', 'what stands when its window is final stands for good');
is(events_of('load at last'), 'a 0 finding', 'and is found on close, too');
is(sql(q{SELECT count(*) FROM anomaly.finding_state WHERE relid = 'load'::regclass}), '0',
    'its state is no longer kept');

# ---- late corrections ----

is(sql(q{SELECT count(*) FROM anomaly.finding_state
    WHERE relid = 'patient'::regclass AND standing}), '1',
    'with allowed_lateness the window is not final yet');
reading('a', 0, 20);
is(events_of('patient'), '', 'a late row that changes nothing for the rule');
reading('a', -5000, 21);
is(events_of('patient'), 'a 0 finding_ended', 'one that does: what was found ends');
is(sql(q{SELECT count(*) FROM anomaly.late_row WHERE relid = 'load'::regclass}), '2',
    'for the other table both are late');
reading('b', 1, 160);
is(events_of('patient at last'), '', 'on close the corrected window is looked at, once, at last');
is(sql(q{SELECT count(*) FROM anomaly.finding_log WHERE rule = 'patient at last'}), '0',
    'and the audit trail has no first impression');

# ---- a running total has no last word ----

from_now();
reading('z', 1500, 161);
reading('z', -1000, 162);
reading('z', 1000, 163);
is(events_of('total'), 'z finding, z finding_ended, z finding', 'a total rises, falls, rises');

# ---- the hint ----

$client->wait until $client->{since} == sql('SELECT seq FROM anomaly.event_head');
my ($firing, $resolved) = (0, 0);
for my $payload (@{ $client->{payloads} })
{
    my ($up, $down) = $payload =~ /"firing":(\d+),"resolved":(\d+)\}$/;
    $firing += $up;
    $resolved += $down;
}
is("$firing $resolved", sql(q{SELECT count(*) FILTER (WHERE kind = 'finding') || ' ' ||
    count(*) FILTER (WHERE kind = 'finding_ended') FROM anomaly.alert_event}),
    'the hints add up to what happened');
$client->close;

# ---- retention ----

sql(q{UPDATE anomaly.finding_log SET found_at = found_at - interval '2 years'
    WHERE rule IN ('total', 'some', 'patient')});
# What was not looked at: over long ago, lasting since, of a rule that is gone, and of late.
sql(q{INSERT INTO anomaly.rule_gap (rule, since, until, table_name, commits, rows)
    SELECT rule, now() - age, now() - ended, 'total', 1, 1 FROM (VALUES
      ('total', interval '2 years', interval '1 year'), ('patient', '2 years', NULL),
      ('gone', '2 years', NULL), ('total', '2 days', '1 day')) AS g (rule, age, ended);
    UPDATE anomaly.rule SET created_at = created_at - interval '3 years' WHERE name = 'patient'});
$node->append_conf('postgresql.conf', "anomaly.finding_retention = '31d'");
$node->reload;
my $old = q{FROM anomaly.finding_log f LEFT JOIN anomaly.finding_state s ON s.finding = f.id
    WHERE f.found_at < now() - interval '1 year' AND s.standing IS};
wait_until($node, "SELECT count(*) = 0 $old NOT TRUE", 't', 'old findings are removed');
is(sql("SELECT DISTINCT series->>'hostname' FROM (SELECT f.* $old TRUE) f"), 'z',
    'but none that holds');
is(sql(q{SELECT string_agg(DISTINCT rule, ', ' ORDER BY rule) FROM anomaly.finding_log
    WHERE found_at > now() - interval '1 day'}), 'load, load at last, steps', 'and no young ones');
is(sql(q{SELECT string_agg(rule || ' ' || (until IS NULL), ', ' ORDER BY rule)
    FROM anomaly.rule_gap}), 'patient true, total false', 'old gaps that are over are removed');
sql('DELETE FROM anomaly.rule_gap');

# ---- changes of the rule ----

from_now();
reading('y', 90, 170);
is(events_of('load'), 'y 150 finding', 'a finding that holds');
sql(q{SELECT anomaly.drop_rule('load')});
reading('y', -900, 171);
is(events_of('load'), 'y 150 finding', 'its rule is dropped: nobody says that it ends');
wait_until($node, q{SELECT count(*) = 0 FROM anomaly.finding_state WHERE rule = 'load'}, 't',
    'and nobody waits for it');

# ---- kills ----

create_cpu_tables($node);
sql(q{CREATE FUNCTION over(r cpu_agg) RETURNS boolean LANGUAGE sql STABLE AS
        'SELECT r.usage_avg > 85';
      SELECT anomaly.create_rule('edge', 'cpu_agg', 'over', 'update')});
my $rounds = 4;
my $start_ms = ($begin + 600) * 1000;
for my $round (1 .. $rounds)
{
    $broker->start_generate(rate => 4000, seed => 150 + $round, start_ms => $start_ms,
        step_us => 20000);
    my $before = sql(q{SELECT count(*) FROM anomaly.events_since(0, 1000000) WHERE rule = 'edge'});
    $start_ms += 600_000;
    wait_until($node, "SELECT count(*) > $before + 40 * $round"
          . q{ FROM anomaly.events_since(0, 1000000) WHERE rule = 'edge'}, 't', "round $round");
    kill_server($node);
    $broker->stop_generate;
    $node->start;
}
sql(q{SELECT anomaly.wait_for_stream('cpu_in', '1 minute')});
my $standing = q{SELECT DISTINCT ON (finding) series, window_start, kind
    FROM anomaly.events_since(0, 1000000) WHERE rule = 'edge' ORDER BY finding, seq DESC};
my $of_rounds = "window_start >= to_timestamp($begin + 600)";
same_rows($node,
    "SELECT series, window_start FROM ($standing) q WHERE kind = 'finding' AND $of_rounds",
    q{SELECT jsonb_build_object('hostname', hostname, 'cpu', cpu), window_start FROM cpu_agg
      WHERE usage_avg > 85 AND } . $of_rounds, 'what began last and has not ended is what holds');
is(sql(q{SELECT count(*) FROM (SELECT kind, lag(kind) OVER (PARTITION BY finding ORDER BY seq) AS
    before FROM anomaly.events_since(0, 1000000) WHERE rule = 'edge') q
    WHERE kind IS NOT DISTINCT FROM coalesce(before, 'finding_ended')}), '0',
    'for each finding begin and end take turns');
is(sql(q{SELECT count(*) - count(DISTINCT id) FROM anomaly.events_since(0, 1000000)
    WHERE rule = 'edge'}), '0', 'no event comes twice');
cmp_ok(sql(q{SELECT count(*) FROM anomaly.events_since(0, 1000000)
    WHERE rule = 'edge' AND kind = 'finding_ended'}), '>', 20, 'and many have ended');

done_testing();
