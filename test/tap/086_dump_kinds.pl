# Goal: a dump carries every kind of continuous table with its state, rules with parameters and
# retention, and what is restored goes on from there, exactly once.
# Method: a dump in pg_dump's custom format in the middle of open windows, restored by pg_restore
# into another cluster; each table of the copy against its own SELECT over the whole topic.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream wait_until wait_for_messages same_rows consume
  load_plain);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main');
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
create_server($node, $broker->bootstrap);
create_stream($node, options => { idle_timeout => '1 hour' });
my %select = (
    hops => 'hostname, window_start, window_end, max(usage), count(*) FROM %s,'
      . " hop(time_ltz, interval '10 seconds', interval '1 minute') GROUP BY 1, 2, 3",
    days => 'cpu, window_start, window_end, min(usage), sum(usage::numeric(20, 4)) FROM %s,'
      . " tumble(time_ltz, interval '1 day') GROUP BY 1, 2, 3",
    kept => 'hostname, window_start, percentile_cont(0.5) WITHIN GROUP (ORDER BY usage),'
      . " array_agg(occurred_at ORDER BY kafka_partition, kafka_offset), count(DISTINCT cpu)"
      . " FROM %s, tumble(time_ltz, interval '30 seconds') GROUP BY 1, 2",
    ends => 'hostname, window_start, anomaly.first(usage, time_ltz), anomaly.last(usage, time_ltz)'
      . " FROM %s, tumble(time_ltz, interval '30 seconds') GROUP BY 1, 2",
    totals => '(usage::int)::numeric AS k, count(*) AS c, stddev(occurred_at), max(hostname)'
      . ' FROM %s GROUP BY 1 HAVING count(*) > 3',
    hot => 'hostname, usage, kafka_partition, kafka_offset FROM %s WHERE usage > 80');
my @tables = sort keys %select;
$node->safe_psql('postgres', join(';', q{SET TimeZone = 'Europe/Berlin'},
    map { "CREATE TABLE $_ WITH (anomaly.continuous) AS SELECT " . sprintf($select{$_}, 'cpu_in') }
      @tables));
my $retained = 'hostname, window_end, count(*) FROM %s,'
  . " tumble(time_ltz, interval '10 seconds') GROUP BY 1, 2";
$node->safe_psql('postgres', "CREATE TABLE retained WITH (anomaly.continuous, anomaly.retention ="
      . " '1 minute') AS SELECT " . sprintf($retained, 'cpu_in'));
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION hotter(h hot, p jsonb) RETURNS boolean LANGUAGE sql STABLE AS
$$ SELECT h.hostname = p->>'host' AND h.usage > (p->>'limit')::float8 $$;
SELECT anomaly.create_rule('doc', 'hot', 'hotter', parameters => '{"host": "doc", "limit": 95}');
SELECT anomaly.create_rule('dopey', 'hot', 'hotter',
  parameters => '{"host": "dopey", "limit": 99}');
SELECT anomaly.disable_rule('dopey');
SQL

my $begin_ms = 1_700_000_000_000;
my $sent = 0;

# Ten seconds of event time for each 500 messages.
sub send_more
{
    my ($count) = @_;
    $broker->generate(count => $count, seed => $sent + 1, start_ms => $begin_ms + 20 * $sent,
        step_us => 20_000);
    $sent += $count;
    return;
}

send_more(5000);
wait_for_messages($node, $_, $sent) for @tables, 'retained';
my $dump = $node->data_dir . '/../dump.custom';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'pg_dump -Fc');
$node->stop;
send_more(3000);

my $copy = cluster('copy', create => 0);
$copy->command_ok(
    [ 'pg_restore', '--exit-on-error', '-j', '2', '-d', $copy->connstr('postgres'), $dump ],
    'pg_restore, two at a time');
is($copy->safe_psql('postgres', 'SELECT DISTINCT state FROM anomaly.table_status'), 'paused',
    'all is paused');
$copy->safe_psql('postgres', 'SELECT anomaly.resume()');
send_more(2000);
wait_for_messages($copy, $_, $sent) for @tables, 'retained';
my $file = $copy->data_dir . '/../messages.txt';
consume($broker->bootstrap, 'cpu_load_stats_real', $file);
load_plain($copy, 'plain', $file);
$copy->safe_psql('postgres', q{ALTER DATABASE postgres SET TimeZone = 'Europe/Berlin'});
my $sorted = '(SELECT * FROM plain ORDER BY kafka_partition, kafka_offset) p';
for my $table (@tables)
{
    same_rows($copy, "SELECT * FROM $table", 'SELECT ' . sprintf($select{$table}, $sorted),
        "$table goes on exactly once");
}
same_rows($copy, 'SELECT * FROM retained',
    'SELECT * FROM (SELECT ' . sprintf($retained, 'plain') . ') q WHERE window_end >'
      . q{ anomaly.watermark('retained') - interval '1 minute'}, 'and so does what is retained');
same_rows($copy, q{SELECT kafka_partition, kafka_offset
    FROM anomaly.finding_log WHERE rule = 'doc'},
    q{SELECT kafka_partition, kafka_offset FROM plain WHERE hostname = 'doc' AND usage > 95},
    'a rule with parameters has found each once');
is($copy->safe_psql('postgres', q{SELECT count(*) FROM anomaly.finding_log WHERE rule = 'dopey'}),
    '0', 'a rule that was disabled is so still');
$copy->stop;
done_testing();
