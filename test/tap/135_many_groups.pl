# Goal: the scale variant of the seed's query, 3.1 million series in one open window, stays within
# 400 MB of the worker's memory, while it is read and when its window is closed, which gives most of
# it back; a group of two aggregates takes at most 100 bytes; and the rows are right.
# Method: each series once, in no order, some twice; the kernel's account of the worker, code and
# shared buffers included: that of its peak.
use strict;
use warnings;
use Anomaly
  qw(cluster create_server create_stream wait_until wait_for_messages worker_pids program);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my ($hosts, $cpus, $twice) = (100_000, 31, 100_000);
my ($groups, $start_ms) = ($hosts * $cpus, 1_700_000_010_000);
my $sent = $groups + $twice;
my $node = cluster('main', fsync => 'off', shared_buffers => '16MB', max_wal_size => '4GB');
my $broker = Broker->kafka(topic => 'cpu_load_stats_real', partitions => 4);
create_server($node, $broker->bootstrap);
create_stream($node, options => { idle_timeout => '1 hour' });

# Kilobytes of a process, by the kernel's name for them.
sub memory_kb
{
    my ($pid) = @_;
    return { slurp_file("/proc/$pid/status") =~ /^(\w+):\s+(\d+) kB$/gm };
}

# Message i is of series k: the step has no divisor in common with the number of series.
open(my $pipe, '|-', program('generate'), '--brokers', $broker->bootstrap, '--topic',
    'cpu_load_stats_real', '--stdin') or die "generate: $!";
for my $i (0 .. $sent - 1)
{
    my $k = $i * 1_234_577 % $groups;
    my ($host, $cpu) = (int($k / $cpus), $k % $cpus);
    printf {$pipe} qq(%d\thostname%d\t{"hostname": "hostname%d", "cpu": "cpu%d", "usage": %d.5,)
      . qq( "occurred_at": %d}\n), $host % 4, $host, $host, $cpu, $i % 100, $start_ms + $i % 20_000;
}
close($pipe) or die "generate failed: $?";

my $table = q{relid = 'cpu_agg'::regclass};
$node->safe_psql('postgres', q{CREATE TABLE cpu_agg WITH (anomaly.continuous,
    anomaly.emit = 'close') AS } . sprintf($Anomaly::definition{cpu_agg}, 'cpu_in'));
wait_until($node, 'SELECT count(*) FROM anomaly.stream_status WHERE worker_pid IS NOT NULL', '1',
    'a worker has begun');
my ($worker) = worker_pids($node, 'stream worker');
wait_for_messages($node, 'cpu_agg', $sent);
is($node->safe_psql('postgres',
    "SELECT open_windows, open_groups FROM anomaly.table_status WHERE $table"), "1|$groups",
    'all groups are open');
my $open = memory_kb($worker);
note("open: $_ $open->{$_} kB") for qw(VmHWM VmRSS RssAnon RssFile RssShmem);
cmp_ok($open->{VmHWM}, '<', 400 * 1024, 'the worker never had more than 400 MB');
my $memory = $node->safe_psql('postgres', 'SELECT memory_bytes FROM anomaly.stream_status');
cmp_ok($memory / $groups, '<=', 100, 'a group takes at most 100 bytes') or diag("$memory bytes");
note($memory / $groups, ' bytes a group');

$node->safe_psql('postgres', q{SELECT anomaly.close_windows('cpu_agg')});
wait_until($node, "SELECT open_groups FROM anomaly.table_status WHERE $table", '0',
    'all are closed');
my $closed = memory_kb($worker);
note("closed: $_ $closed->{$_} kB") for qw(VmHWM VmRSS RssAnon RssFile RssShmem);
cmp_ok($closed->{VmHWM}, '<', 400 * 1024, 'which takes no more memory');
my $left;
for (1 .. 600)
{
    $left = memory_kb($worker)->{RssAnon};
    last if $left < $open->{RssAnon} / 2;
    usleep(100_000);
}
cmp_ok($left, '<', $open->{RssAnon} / 2, 'and gives most of it back');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT hostname), count(DISTINCT cpu),'
      . ' count(DISTINCT window_start), sum(usage_max) FROM cpu_agg'),
    join('|', $groups, $hosts, $cpus, 1, 50 * $groups), 'each series has its row');
is((worker_pids($node, 'stream worker'))[0], $worker, 'of one worker');
$broker->stop;
$node->stop;
done_testing();
