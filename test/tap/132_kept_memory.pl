# Goal: what an aggregate keeps of its input counts against anomaly.stream_memory. A table that
# keeps too much stops at its position, visibly; the stream's others go on; with more memory it
# catches up, and equals its own query.
# Method: few groups with many values each, under the smallest budget.
use strict;
use warnings;
use Anomaly qw(cluster create_server wait_until wait_for_messages same_rows);
use Broker;
use Test::More;

my $node = cluster('main', 'anomaly.stream_memory' => '1MB', 'anomaly.batch_rows' => 1000,
    fsync => 'off', jit => 'off');
my $broker = Broker->mock(topic => 'readings', partitions => 2);
create_server($node, $broker->bootstrap);
$node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE readings (n int, at timestamptz) SERVER message_queue
  OPTIONS (topic 'readings', event_time 'at', idle_timeout '1 hour');
CREATE TABLE plain (n int, at timestamptz);
SQL
my %definition = (
    keeps => 'SELECT n %% 4 AS key, window_start,'
      . ' percentile_cont(0.5) WITHIN GROUP (ORDER BY n) AS median,'
      . " md5(string_agg('reading ' || n, ',' ORDER BY n)) AS all_of_them,"
      . " count(DISTINCT n) AS different FROM %s, tumble(at, interval '1 hour') GROUP BY 1, 2",
    folds => 'SELECT n %% 4 AS key, window_start, sum(n::numeric), stddev(n),'
      . " max(n::text) FROM %s, tumble(at, interval '1 hour') GROUP BY 1, 2");
for my $name (sort keys %definition)
{
    $node->safe_psql('postgres', "CREATE TABLE $name WITH (anomaly.continuous) AS "
          . sprintf($definition{$name}, 'readings'));
}
my $count = 30_000;
$node->safe_psql('postgres', 'INSERT INTO plain SELECT n, timestamptz'
      . " '2026-01-01 00:00:00+00' + n * interval '1 ms' FROM generate_series(1, $count) n");
$broker->produce(split /\n/, $node->safe_psql('postgres', "SET timezone = 'UTC'; SELECT n % 2 ||"
          . " E'\\t\\\\N\\t' || json_build_object('n', n, 'at', at) FROM plain ORDER BY n"));
wait_for_messages($node, 'folds', $count);
my $state = q{SELECT state FROM anomaly.table_status WHERE relid = '%s'::regclass};
wait_until($node, sprintf($state, 'keeps'), 'failing', 'what keeps its values has stopped');
is($node->safe_psql('postgres', sprintf($state, 'folds')), 'running', 'the other has not');
like($node->safe_psql('postgres', 'SELECT last_error FROM anomaly.stream_status'),
    qr/exceed anomaly.stream_memory \(1024 kB\)/, 'it says why');
same_rows($node, 'SELECT * FROM folds', sprintf($definition{folds}, 'plain'), 'folds');

$node->safe_psql('postgres', q{ALTER SYSTEM SET anomaly.stream_memory = '64MB'});
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
wait_for_messages($node, 'keeps', $count);
same_rows($node, 'SELECT * FROM keeps', sprintf($definition{keeps}, 'plain'),
    'with more memory it catches up');
is($node->safe_psql('postgres', sprintf($state, 'keeps')), 'running', 'and runs');

# The values of the window are given back when it closes.
$broker->produce(map { qq{$_\t\\N\t{"n": 1, "at": "2026-01-01 05:00:00Z"}} } 0, 1);
wait_until($node, q{SELECT anomaly.watermark('keeps') >= '2026-01-01 05:00:00+00'}, 't',
    'the window closes');
$node->safe_psql('postgres', q{ALTER SYSTEM SET anomaly.stream_memory = '1MB'});
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
$broker->produce(map { qq{$_\t\\N\t{"n": 2, "at": "2026-01-01 05:00:00Z"}} } 0, 1);
wait_for_messages($node, 'keeps', $count + 4);
is($node->safe_psql('postgres', sprintf($state, 'keeps')), 'running',
    'a closed window keeps nothing');
done_testing();
