# Goal: the scale variant of the seed's query, 3.1 million series in one open window, stays within
# 400 MB of the worker's memory: while it is read, when another worker takes it up after a crash of
# the server, and when its window is closed, which gives most of it back. A group of two aggregates
# takes at most 100 bytes; and the rows are right, and written in the order of their key.
# Method: each series once, in no order, some twice; the kernel's account of the worker. At first
# that of its peak, code and shared buffers included; then, with many shared buffers so that the
# rows are written fast, what it has for itself, looked at ten times a second.
use strict;
use warnings;
use Anomaly qw(cluster create_server create_stream wait_for_messages worker_pids program);
use Broker;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my ($hosts, $cpus, $twice) = (100_000, 31, 100_000);
my ($groups, $start_ms) = ($hosts * $cpus, 1_700_000_010_000);
my $sent = $groups + $twice;
my $node = cluster('main', fsync => 'off', full_page_writes => 'off', autovacuum => 'off',
    shared_buffers => '16MB', max_wal_size => '4GB');
my $limit_kb = 400 * 1024;
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
my $groups_open = "SELECT open_windows, open_groups FROM anomaly.table_status WHERE $table";

sub worker { return (worker_pids($node, 'stream worker'))[0] }

# Passes when the groups that are open become so many; the most that the worker has had until then.
sub follow
{
    my ($want, $name) = @_;
    my ($peak, $groups_now) = (0, '');
    for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
    {
        $groups_now = $node->safe_psql('postgres', $groups_open);
        my $pid = worker();
        my $now = defined $pid && -e "/proc/$pid" ? memory_kb($pid)->{RssAnon} // 0 : 0;
        $peak = $now if $now > $peak;
        last if $groups_now eq $want;
        usleep(100_000);
    }
    is($groups_now, $want, "$name: open windows and groups");
    note("$name: $peak kB");
    cmp_ok($peak, '<', $limit_kb, "$name: the worker has not had more than 400 MB");
    return $peak;
}

$node->safe_psql('postgres', q{CREATE TABLE cpu_agg WITH (anomaly.continuous,
    anomaly.emit = 'close') AS } . sprintf($Anomaly::definition{cpu_agg}, 'cpu_in'));
wait_for_messages($node, 'cpu_agg', $sent);
is($node->safe_psql('postgres', $groups_open), "1|$groups", 'all groups are open');
my $first = memory_kb(worker());
note("$_ $first->{$_} kB") for qw(VmHWM VmRSS RssAnon RssFile RssShmem);
cmp_ok($first->{VmHWM}, '<', $limit_kb, 'its worker has never had more than 400 MB in all');
my $bytes = $node->safe_psql('postgres', 'SELECT memory_bytes FROM anomaly.stream_status');
cmp_ok($bytes / $groups, '<=', 100, 'a group takes at most 100 bytes') or diag("$bytes bytes");
my $beside;
for (1 .. 100)
{
    $beside = memory_kb(worker())->{RssAnon} - $bytes / 1024;
    last if $beside < 32 * 1024;
    usleep(100_000);
}
cmp_ok($beside, '<', 32 * 1024, 'what was fetched ahead is given back');
note(sprintf('%d kB beside the state', $beside));
my ($stated) = $node->safe_psql('postgres', q{SELECT anomaly.explain('cpu_agg')})
  =~ /^state: (\d+) bytes a group, beside its key$/m;
my $key = $bytes / $groups - $stated;
cmp_ok(abs($key - length('hostname12345cpu12')), '<', 10, 'as is stated, beside its key');

$node->stop('immediate');
$node->append_conf('postgresql.conf', 'shared_buffers = 512MB');
$node->start;
$broker->produce(qq(0\t\\N\t{"hostname": "hostname0", "cpu": "one more", "usage": 1, )
      . qq("occurred_at": $start_ms}));
my $open = follow('1|' . ($groups + 1), 'after a crash');
my $worker = worker();
$node->safe_psql('postgres', q{SELECT anomaly.close_windows('cpu_agg')});
follow('0|0', 'closed');
my $left;
for (1 .. 600)
{
    $left = memory_kb($worker)->{RssAnon};
    last if $left < $open / 2;
    usleep(100_000);
}
cmp_ok($left, '<', $open / 2, 'which gives most of its memory back');
# Its key tells them apart.
is($node->safe_psql('postgres', 'SELECT count(*), sum(usage_max),'
      . ' min(window_start) = max(window_start) FROM cpu_agg'),
    join('|', $groups + 1, 50 * $groups + 1, 't'), 'each series has its row');
is($node->safe_psql('postgres', 'SELECT count(*) FILTER (WHERE backwards) FROM (SELECT'
      . ' (hostname, cpu) < lag((hostname, cpu)) OVER (ORDER BY ctid) AS backwards FROM (SELECT'
      . ' ctid, hostname COLLATE "C", cpu COLLATE "C" FROM cpu_agg) r) s'),
    '0', 'in the order of their key, so that its index is gone through once');
is(worker(), $worker, 'of one worker');
$broker->stop;
$node->stop;
done_testing();
