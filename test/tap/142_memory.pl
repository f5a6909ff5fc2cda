# Goal: the state of a stream's tables stays within anomaly.stream_memory. The table that takes most
# stops at its position, visibly and with what to do about it; the stream's others go on; when there
# is room, or its windows are closed, it catches up, and equals its own query.
# Method: one table with a group for each message and one with few, under the smallest budget.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows worker_pids);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main', 'anomaly.stream_memory' => '1MB', 'anomaly.batch_rows' => 1000,
    fsync => 'off');
my $broker = Broker->mock(topic => 'readings', partitions => 2);
create_server($node, $broker->bootstrap);
$node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE readings (n int, at timestamptz) SERVER message_queue
  OPTIONS (topic 'readings', event_time 'at', idle_timeout '1 hour');
CREATE TABLE plain (n int, at timestamptz);
SQL
my %definition = (
    each_one => "SELECT n, window_start, count(*) FROM %s, tumble(at, interval '1 hour')"
      . ' GROUP BY 1, 2',
    few => "SELECT n %% 10 AS key, window_start, count(*), sum(n)"
      . " FROM %s, tumble(at, interval '1 hour') GROUP BY 1, 2");
for my $name (sort keys %definition)
{
    $node->safe_psql('postgres', "CREATE TABLE $name WITH (anomaly.continuous) AS "
          . sprintf($definition{$name}, 'readings'));
}
my $count = 40_000;
$node->safe_psql('postgres', 'INSERT INTO plain SELECT n, timestamptz'
      . " '2026-01-01 00:00:00+00' + n * interval '1 ms' FROM generate_series(1, $count) n");
$broker->produce(split /\n/, $node->safe_psql('postgres', "SET timezone = 'UTC'; SELECT n % 2 ||"
          . " E'\\t\\\\N\\t' || json_build_object('n', n, 'at', at) FROM plain ORDER BY n"));
wait_for_messages($node, 'few', $count);
my $state = q{SELECT state FROM anomaly.table_status WHERE relid = '%s'::regclass};
wait_until($node, sprintf($state, 'each_one'), 'failing', 'the large table has stopped');
is($node->safe_psql('postgres', sprintf($state, 'few')), 'running', 'the other has not');
like($node->safe_psql('postgres', 'SELECT last_error FROM anomaly.stream_status'),
    qr/takes \d+ kB.*exceed anomaly.stream_memory \(1024 kB\): raise that/, 'it says why');
same_rows($node, 'SELECT * FROM few', sprintf($definition{few}, 'plain'), 'few');
my ($worker) = worker_pids($node, 'stream worker');

$node->safe_psql('postgres', q{ALTER SYSTEM SET anomaly.stream_memory = '64MB'});
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
wait_for_messages($node, 'each_one', $count);
same_rows($node, 'SELECT * FROM each_one', sprintf($definition{each_one}, 'plain'),
    'with more memory it catches up');
is($node->safe_psql('postgres', sprintf($state, 'each_one')), 'running', 'and runs');
is((worker_pids($node, 'stream worker'))[0], $worker, 'all in one worker');

# ---- what closes the windows makes room ----
$node->safe_psql('postgres', q{ALTER SYSTEM SET anomaly.stream_memory = '1MB'});
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
wait_until($node, sprintf($state, 'each_one'), 'failing', 'less memory stops it again');
$node->safe_psql('postgres', q{SELECT anomaly.close_windows('each_one')});
wait_until($node, sprintf($state, 'each_one'), 'running', 'closing its windows lets it go on');
$broker->produce("0\t\\N\t{\"n\":1,\"at\":\"2026-01-01 03:00:00+00\"}");
$node->safe_psql('postgres', q{INSERT INTO plain VALUES (1, '2026-01-01 03:00:00+00')});
wait_for_messages($node, $_, $count + 1) for qw(few each_one);
same_rows($node, "SELECT * FROM $_", sprintf($definition{$_}, 'plain'), "$_, in the end")
  for sort keys %definition;
unlike(slurp_file($node->logfile), qr/terminated by signal|TRAP/, 'no worker has crashed');
done_testing();
