# Goal: a stream worker that crashes the server before it gets anywhere does not do so at full
# speed.
# Method: the mark that such starts leave behind is written by hand, since no message is known that
# crashes a worker; the server is restarted, and must wait before it starts the worker.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream create_cpu_tables wait_until);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = cluster('main');
my $broker = Broker->mock(topic => 'cpu_load_stats_real', partitions => 1);
create_server($node, $broker->bootstrap);
create_stream($node);
create_cpu_tables($node);
my $pid = 'SELECT worker_pid IS NOT NULL FROM anomaly.stream_status';
my $mark = 'SELECT unfinished_starts FROM anomaly.stream';
wait_until($node, $pid, 't', 'the worker runs');
wait_until($node, $mark, '0', 'a worker that waits has cleared its mark');
isnt($node->safe_psql('postgres', 'SELECT started_at FROM anomaly.stream'), '',
    'and left the time');

# Five starts that came to nothing: the sixth is due 4 s after the fifth.
$node->safe_psql('postgres', 'ALTER SYSTEM SET anomaly.paused = on');
$node->reload;
wait_until($node, $pid, 'f', 'the worker is gone');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET anomaly.paused');
$node->safe_psql('postgres',
    'UPDATE anomaly.stream SET unfinished_starts = 5, started_at = clock_timestamp()');
my $fifth = $node->safe_psql('postgres', 'SELECT started_at FROM anomaly.stream');
$node->restart;
wait_until($node, $pid, 't', 'it starts again');
is($node->safe_psql('postgres',
        "SELECT started_at - '$fifth' BETWEEN interval '4 s' AND interval '30 s'"
          . ' FROM anomaly.stream'),
    't', 'but not before its time');
wait_until($node, $mark, '0', 'and its mark is cleared');
like(slurp_file($node->logfile), qr/which ended 5 times before it got anywhere/, 'the log says so');

$node->stop;
done_testing();
