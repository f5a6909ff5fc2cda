# Goal: a standby that is promoted goes on where its rows end: nothing is lost, nothing counts
# twice, each finding is there once. Until then it reads nothing.
# Method: under load the primary is killed as soon as a random number of commits has been made, and
# its streaming standby promoted, which may not have heard of the last commits; then the same with a
# standby of that one. ANOMALY_SEED repeats a run.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream create_cpu_tables create_rule wait_until
  wait_for_messages same_rows consume load_plain check_oracle kill_server worker_pids);
use Broker;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{ANOMALY_SEED} // time();
my $promotions = 2;
diag("ANOMALY_SEED=$seed");
srand($seed);

my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 2);
my $node = cluster('primary', wal_level => 'replica', max_wal_senders => 5, hot_standby => 'on',
    fsync => 'off', 'anomaly.commit_interval' => '50ms');
create_server($node, $broker->bootstrap);
create_stream($node, options => { idle_timeout => '1 hour' });
create_cpu_tables($node);
create_rule($node);
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION very_hot(c cpu_hot) RETURNS text LANGUAGE sql STABLE AS
  $$ SELECT CASE WHEN c.usage > 99 THEN c.hostname || ' ' || c.cpu || ' ' || c.usage END $$;
SELECT anomaly.create_rule('very_hot', 'cpu_hot', 'very_hot');
SQL

my $progress = 'SELECT min(sequence) FROM anomaly.table_progress';
my $positions = 'SELECT sum(greatest(o, 0)) FROM anomaly.table_progress, unnest(next_offsets) o';

$broker->start_generate(rate => 2000, seed => $seed % 1000, start_ms => 1_700_000_000_000,
    step_us => 5000);
for my $round (1 .. $promotions)
{
    $node->backup("base$round");
    my $standby = PostgreSQL::Test::Cluster->new("standby$round");
    $standby->init_from_backup($node, "base$round", has_streaming => 1);
    $standby->start;
    my $wanted = $node->safe_psql('postgres', $progress) + 5 + int(rand(20));
    wait_until($standby, "SELECT ($progress) >= $wanted", 't', "$round: commits come over");
    is(join(' ', worker_pids($standby, 'stream worker')), '', "$round: the standby reads nothing");
    unlike(slurp_file($standby->logfile), qr/ERROR|FATAL: .*anomaly/, "$round: and is content");
    kill_server($node);
    my $before = $standby->safe_psql('postgres', $positions);
    $standby->promote;
    wait_until($standby, "SELECT ($positions) > $before", 't', "$round: promoted, it goes on");
    $node = $standby;
}
is($broker->stop_generate, 0, 'the broker has taken all messages');

my $file = "${PostgreSQL::Test::Utils::tmp_check}/messages";
consume($broker->bootstrap, 'cpu_load_stats_real', $file);
load_plain($node, 'plain', $file);
my $messages = $node->safe_psql('postgres', 'SELECT count(*) FROM plain');
wait_for_messages($node, $_, $messages) for qw(cpu_agg cpu_hot);
$node->safe_psql('postgres', q{SELECT anomaly.close_windows('cpu_agg')});
wait_until($node, q{SELECT open_windows = 0 FROM anomaly.table_status
    WHERE relid = 'cpu_agg'::regclass}, 't', 'all windows are closed');

for my $table (qw(late_row dead_letter lost_range))
{
    is($node->safe_psql('postgres', "SELECT count(*) FROM anomaly.$table"), '0', "no $table");
}
check_oracle($node, 'plain', 'in the end');
same_rows($node,
    q{SELECT series->>'hostname', series->>'cpu', window_start, window_end, value, message
      FROM anomaly.finding_log WHERE rule = 'cpu_over_threshold'},
    q{SELECT c.hostname, c.cpu, c.window_start, c.window_end, f.value, f.message
      FROM cpu_agg c, cpu_over_threshold(c) f}, 'each finding of a window once');
same_rows($node,
    q{SELECT kafka_partition, kafka_offset, message FROM anomaly.finding_log
      WHERE rule = 'very_hot'},
    q{SELECT kafka_partition, kafka_offset, hostname || ' ' || cpu || ' ' || usage FROM plain
      WHERE usage > 99}, 'each finding of a message once');
is($node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT finding), count(DISTINCT seq)
    FROM anomaly.alert_event}),
    $node->safe_psql('postgres', 'SELECT count(*), count(*), count(*) FROM anomaly.finding_log'),
    'and one event for each');
$node->stop('immediate');

done_testing();
